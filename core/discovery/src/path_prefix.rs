//! Which paths a route is for.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// A path prefix on segment borders: `/api` is for `/api` and `/api/x`, not for `/apix`. Kept without the final `/`,
/// so the whole site is the empty text.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct PathPrefix(String);

/// Why a text is no path prefix.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error(
    "{text:?} is not a path prefix: use an absolute path such as /api, without query and empty or dot segments"
)]
pub struct PathPrefixError {
    /// The text that was refused.
    pub text: String,
}

impl PathPrefix {
    /// The whole site.
    #[must_use]
    pub const fn root() -> Self {
        Self(String::new())
    }

    /// Whether a request for `path` (without its query) falls under this prefix. Compared byte by byte, as the
    /// client wrote it: an encoded `/%61pi` is not `/api`.
    #[must_use]
    pub fn covers(&self, path: &str) -> bool {
        // The root also takes the asterisk form of OPTIONS, which starts with no slash.
        self.0.is_empty()
            || path.strip_prefix(self.0.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }

    /// How many bytes of the path it binds; the longest prefix wins.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether it is the whole site.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl FromStr for PathPrefix {
    type Err = PathPrefixError;

    fn from_str(text: &str) -> Result<Self, PathPrefixError> {
        let refused = || PathPrefixError { text: text.to_owned() };
        let inner = text.strip_prefix('/').ok_or_else(refused)?;
        let inner = inner.strip_suffix('/').unwrap_or(inner);
        if inner.is_empty() {
            return if text == "//" { Err(refused()) } else { Ok(Self::root()) };
        }
        let is_segment = |segment: &str| {
            !matches!(segment, "" | "." | "..")
                && segment.bytes().all(|b| b.is_ascii_graphic() && !matches!(b, b'?' | b'#'))
        };
        if inner.split('/').all(is_segment) { Ok(Self(format!("/{inner}"))) } else { Err(refused()) }
    }
}

impl fmt::Display for PathPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_empty() { "/" } else { &self.0 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_end_on_segment_borders() {
        let api: PathPrefix = "/api/".parse().unwrap();
        for (path, is_covered) in
            [("/api", true), ("/api/", true), ("/api/x", true), ("/apix", false), ("/", false)]
        {
            assert_eq!(api.covers(path), is_covered, "{path}");
        }
        let root: PathPrefix = "/".parse().unwrap();
        assert!(root.covers("/") && root.covers("/api") && root.covers("*") && root.covers(""));
    }

    #[test]
    fn what_is_no_prefix_is_refused() {
        for text in ["", "api", "//", "/a//b", "/a/../b", "/./a", "/a?b", "/a#b", "/a b", "/ä"] {
            assert!(text.parse::<PathPrefix>().is_err(), "{text}");
        }
    }
}
