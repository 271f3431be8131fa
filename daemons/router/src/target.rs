//! Which host and path a request is for (RFC 9112 §3.2, RFC 9113 §8.3.1).

use std::borrow::Cow;

use http::header::HOST;
use http::request::Parts;
use http::{Method, Version};
use thiserror::Error;

/// A request's target, checked.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Target<'a> {
    /// Host and port as the client wrote them; goes into `Host`.
    pub(crate) authority: &'a str,
    /// The host alone, in lower case, without brackets, port and final dot; what routes are found by.
    pub(crate) host: Cow<'a, str>,
    /// Path and query as the client wrote them; `*` for the whole server.
    pub(crate) path_and_query: &'a str,
    /// The path alone.
    pub(crate) path: &'a str,
}

/// A target that cannot be routed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub(crate) enum TargetError {
    #[error("the request has no Host header")]
    NoHost,
    #[error("the request names more than one host")]
    SeveralHosts,
    #[error("the request's host is no host name")]
    NoHostName,
    #[error("this is no forward proxy: CONNECT is not served")]
    Connect,
    #[error("the request's target is malformed")]
    Malformed,
}

impl<'a> Target<'a> {
    pub(crate) fn of(parts: &'a Parts) -> Result<Self, TargetError> {
        if parts.method == Method::CONNECT {
            return Err(TargetError::Connect);
        }
        let mut named = parts.headers.get_all(HOST).iter();
        let header =
            named.next().map(|value| value.to_str().map_err(|_| TargetError::NoHostName)).transpose()?;
        if named.next().is_some() {
            return Err(TargetError::SeveralHosts);
        }
        // In HTTP/1.1 an absolute target overrules Host; in HTTP/2 both must agree.
        let authority = match (parts.uri.authority(), header) {
            (Some(own), Some(header)) if parts.version == Version::HTTP_2 && own.as_str() != header => {
                return Err(TargetError::SeveralHosts);
            }
            (Some(own), _) => own.as_str(),
            (None, Some(header)) => header,
            (None, None) => return Err(TargetError::NoHost),
        };
        let path = parts.uri.path();
        let path_and_query = parts.uri.path_and_query().map_or("/", |both| both.as_str());
        let path_and_query = if path_and_query.is_empty() { "/" } else { path_and_query };
        let is_whole_server = path == "*" && parts.method == Method::OPTIONS;
        if !is_whole_server && !path.starts_with('/') {
            return Err(TargetError::Malformed);
        }
        Ok(Self { authority, host: host(authority)?, path_and_query, path })
    }
}

/// The host of `HOST[:PORT]` in the spelling of the routing table.
fn host(authority: &str) -> Result<Cow<'_, str>, TargetError> {
    let (host, port) = if let Some(bracketed) = authority.strip_prefix('[') {
        let (host, rest) = bracketed.split_once(']').ok_or(TargetError::NoHostName)?;
        if host.parse::<std::net::Ipv6Addr>().is_err() {
            return Err(TargetError::NoHostName);
        }
        let port =
            if rest.is_empty() { "" } else { rest.strip_prefix(':').ok_or(TargetError::NoHostName)? };
        (host, port)
    } else {
        let (host, port) = authority.split_once(':').unwrap_or((authority, ""));
        if !host.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_')) {
            return Err(TargetError::NoHostName);
        }
        (host.strip_suffix('.').unwrap_or(host), port)
    };
    if host.is_empty() || !port.bytes().all(|b| b.is_ascii_digit()) || port.len() > 5 {
        return Err(TargetError::NoHostName);
    }
    let is_lower = !host.bytes().any(|b| b.is_ascii_uppercase());
    Ok(if is_lower { Cow::Borrowed(host) } else { Cow::Owned(host.to_ascii_lowercase()) })
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn check(request: http::request::Builder, expected: Result<(&str, &str, &str), TargetError>) {
        let parts = request.body(()).unwrap().into_parts().0;
        let found = Target::of(&parts);
        let shown =
            found.as_ref().map(|target| (target.authority, target.host.as_ref(), target.path_and_query));
        assert_eq!(shown.map_err(|error| *error), expected);
    }

    #[test]
    fn the_host_is_found_in_every_form_of_target() {
        let get = |uri: &str| Request::get(uri);
        check(get("/a?b").header(HOST, "Shop.X:80"), Ok(("Shop.X:80", "shop.x", "/a?b")));
        check(get("/").header(HOST, "shop.x."), Ok(("shop.x.", "shop.x", "/")));
        check(get("/").header(HOST, "[::1]:80"), Ok(("[::1]:80", "::1", "/")));
        check(get("http://a.x/p").header(HOST, "b.x"), Ok(("a.x", "a.x", "/p")));
        check(get("http://a.x"), Ok(("a.x", "a.x", "/")));
        check(Request::options("*").header(HOST, "a.x"), Ok(("a.x", "a.x", "*")));
    }

    #[test]
    fn a_target_that_two_servers_could_read_differently_is_refused() {
        let get = || Request::get("/");
        check(get(), Err(TargetError::NoHost));
        check(get().header(HOST, "a").header(HOST, "a"), Err(TargetError::SeveralHosts));
        check(
            Request::get("http://a.x/").version(Version::HTTP_2).header(HOST, "b.x"),
            Err(TargetError::SeveralHosts),
        );
        check(Request::get("*").header(HOST, "a"), Err(TargetError::Malformed));
        check(Request::builder().method("CONNECT").uri("a:1"), Err(TargetError::Connect));
        for host in
            ["", "a b", "a/b", "a:b", "a:1:2", "a@b", "[::1", "[x]", "[::1]x", ":80", "a:123456", "a\\b"]
        {
            check(get().header(HOST, host), Err(TargetError::NoHostName));
        }
    }
}
