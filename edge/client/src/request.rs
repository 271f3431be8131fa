//! A request before it is sent: method, path, query, deadline.

use std::fmt::Write as _;
use std::time::Duration;

use http::Method;

/// How long an ordinary request may take.
pub(crate) const DEADLINE: Duration = Duration::from_secs(10);

/// How long a request may take that can have to pull or unpack an image.
pub(crate) const IMAGE_DEADLINE: Duration = Duration::from_secs(1_800);

#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) method: Method,
    /// Below the API's base, encoded, with its query.
    pub(crate) path: String,
    /// Until the head of the answer (and for plain values, all of it).
    pub(crate) deadline: Duration,
}

impl Request {
    pub(crate) fn new(method: Method, path: &str) -> Self {
        Self { method, path: path.to_owned(), deadline: DEADLINE }
    }

    pub(crate) fn get(path: &str) -> Self {
        Self::new(Method::GET, path)
    }

    pub(crate) fn post(path: &str) -> Self {
        Self::new(Method::POST, path)
    }

    pub(crate) fn delete(path: &str) -> Self {
        Self::new(Method::DELETE, path)
    }

    /// Adds a path segment, whatever characters it has.
    pub(crate) fn segment(mut self, text: &str) -> Self {
        self.path.push('/');
        encode(text, &mut self.path);
        self
    }

    /// Adds `key=value` to the query.
    pub(crate) fn query(mut self, key: &str, value: &str) -> Self {
        self.path.push(if self.path.contains('?') { '&' } else { '?' });
        self.path.push_str(key);
        self.path.push('=');
        encode(value, &mut self.path);
        self
    }

    /// Adds `key=true` to the query if `is_set`.
    pub(crate) fn flag(self, key: &str, is_set: bool) -> Self {
        if is_set { self.query(key, "true") } else { self }
    }

    pub(crate) fn within(self, deadline: Duration) -> Self {
        Self { deadline, ..self }
    }

    /// Method and path, for errors.
    pub(crate) fn name(&self) -> String {
        format!("{} {}", self.method, self.path)
    }
}

/// Percent-encodes all but the unreserved characters (RFC 3986 §2.3).
fn encode(text: &str, out: &mut String) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            out.push(char::from(byte));
        } else {
            write!(out, "%{byte:02X}").expect("a string takes every write");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_travel_as_one_segment() {
        let request = Request::get("/services").segment("/stage/shop/ä").query("a", "b&c").flag("plan", true);
        assert_eq!(request.path, "/services/%2Fstage%2Fshop%2F%C3%A4?a=b%26c&plan=true");
    }
}
