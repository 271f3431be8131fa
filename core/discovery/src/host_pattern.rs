//! Which host names a route is for.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

/// A host name, or a family of them. Names are kept in lower case, without port and final dot.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum HostPattern {
    /// Exactly this name or address.
    Exact(String),
    /// One label in front of this name: `*.example.org` holds `example.org`.
    Wildcard(String),
    /// Every host.
    Any,
}

/// Why a text is no host pattern.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error(
    "{text:?} is not a host: use a name such as shop.example.org, or *.example.org for one label in front"
)]
pub struct HostPatternError {
    /// The text that was refused.
    pub text: String,
}

impl FromStr for HostPattern {
    type Err = HostPatternError;

    fn from_str(text: &str) -> Result<Self, HostPatternError> {
        let refused = || HostPatternError { text: text.to_owned() };
        let lower = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
        let (base, is_wildcard) = match lower.strip_prefix("*.") {
            Some(base) => (base, true),
            None => (lower.as_str(), false),
        };
        let is_address = !is_wildcard && lower.parse::<std::net::IpAddr>().is_ok();
        if !(is_address || is_host_name(base)) {
            return Err(refused());
        }
        Ok(if is_wildcard { Self::Wildcard(base.to_owned()) } else { Self::Exact(lower) })
    }
}

/// Labels of letters, digits, `-` and `_` (which real names have although RFC 1123 does not), 63 bytes each, 253 in
/// all.
fn is_host_name(text: &str) -> bool {
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    };
    text.len() <= 253 && text.split('.').all(is_label)
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(name) => f.write_str(name),
            Self::Wildcard(base) => write!(f, "*.{base}"),
            Self::Any => f.write_str("*"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_kept_in_one_spelling() {
        for (text, shown) in [
            ("Shop.Example.org.", "shop.example.org"),
            ("*.Example.org", "*.example.org"),
            ("localhost", "localhost"),
            ("127.0.0.1", "127.0.0.1"),
            ("::1", "::1"),
            ("my_app.example.org", "my_app.example.org"),
        ] {
            assert_eq!(text.parse::<HostPattern>().map(|host| host.to_string()), Ok(shown.to_owned()));
        }
    }

    #[test]
    fn what_is_no_host_is_refused() {
        for text in ["", ".", "*", "*.", "a..b", "-a.b", "a.*.b", "*a.b", "a b", "a/b", "a:80", "ä.de"] {
            assert!(text.parse::<HostPattern>().is_err(), "{text}");
        }
    }
}
