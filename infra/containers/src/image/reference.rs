//! Image names as people write them, brought to one form.

use std::fmt;
use std::str::FromStr;

use kogge_model::digest::Digest;
use serde::{Deserialize, Serialize};

use super::error::ImageError;

/// An image's name: `[registry/]repository[:tag][@digest]`.
///
/// Without a tag and a digest the tag is `latest`. Names of Docker's hub lose their prefix, as Docker prints
/// them: `docker.io/library/hello` is `hello:latest`. The first part is a registry when it has a dot or a colon
/// or is `localhost` (distribution reference grammar, <https://github.com/distribution/reference>).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Reference {
    registry: Option<String>,
    repository: String,
    tag: Option<String>,
    digest: Option<Digest>,
}

const MAX_NAME_BYTES: usize = 255;
const MAX_TAG_BYTES: usize = 128;

impl Reference {
    /// `host[:port]` when the name has one.
    #[must_use]
    pub fn registry(&self) -> Option<&str> {
        self.registry.as_deref()
    }

    /// The name without registry, tag and digest.
    #[must_use]
    pub fn repository(&self) -> &str {
        &self.repository
    }

    /// The tag, if there is one.
    #[must_use]
    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    /// The digest the name insists on, if any.
    #[must_use]
    pub const fn digest(&self) -> Option<Digest> {
        self.digest
    }

    /// Whether the registry is this very machine, where plain HTTP is fine.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        let Some(registry) = &self.registry else { return false };
        let host = match registry.rsplit_once(':') {
            Some((host, port)) if port.bytes().all(|b| b.is_ascii_digit()) => host,
            _ => registry,
        };
        let host = host.trim_start_matches('[').trim_end_matches(']');
        host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
    }
}

impl FromStr for Reference {
    type Err = ImageError;

    fn from_str(text: &str) -> Result<Self, ImageError> {
        let bad = |why| ImageError::BadReference { text: text.chars().take(300).collect(), why };
        let (rest, digest) = match text.split_once('@') {
            None => (text, None),
            Some((rest, digest)) => {
                let digest =
                    digest.parse().map_err(|_| bad("the digest is not sha256: and 64 hex digits"))?;
                (rest, Some(digest))
            }
        };
        let (name, tag) = match rest.rsplit_once(':') {
            Some((name, tag)) if !tag.contains('/') => (name, Some(tag)),
            _ => (rest, None),
        };
        if name.len() > MAX_NAME_BYTES {
            return Err(bad("it has more than 255 characters"));
        }
        if tag.is_some_and(|tag| !is_tag(tag)) {
            return Err(bad("the tag needs 1 to 128 letters, digits, `_`, `.` and `-`"));
        }
        let (registry, repository) = match name.split_once('/') {
            Some((first, rest)) if first.contains(['.', ':']) || first == "localhost" => (Some(first), rest),
            _ => (None, name),
        };
        if registry.is_some_and(|host| !is_registry(host)) {
            return Err(bad("the registry is not host or host:port"));
        }
        if !repository.split('/').all(is_component) {
            return Err(bad(
                "the repository needs lower-case letters and digits, joined by `.`, `_`, `-` and `/`",
            ));
        }
        let registry = registry.filter(|host| !matches!(*host, "docker.io" | "index.docker.io"));
        let is_hub = registry.is_none();
        let repository = repository.strip_prefix("library/").filter(|_| is_hub).unwrap_or(repository);
        let tag = tag.or(if digest.is_none() { Some("latest") } else { None });
        Ok(Self {
            registry: registry.map(str::to_owned),
            repository: repository.to_owned(),
            tag: tag.map(str::to_owned),
            digest,
        })
    }
}

fn is_tag(tag: &str) -> bool {
    let is_word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    (1..=MAX_TAG_BYTES).contains(&tag.len())
        && is_word(tag.as_bytes()[0])
        && tag.bytes().all(|b| is_word(b) || matches!(b, b'.' | b'-'))
}

fn is_registry(host: &str) -> bool {
    let (name, port) = match host.rsplit_once(':') {
        Some((name, port)) if !host.ends_with(']') => (name, Some(port)),
        _ => (host, None),
    };
    if port.is_some_and(|port| port.parse::<u16>().is_err()) {
        return false;
    }
    match name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => name.split('.').all(|label| {
            let edges_are_words = !label.starts_with('-') && !label.ends_with('-');
            !label.is_empty()
                && edges_are_words
                && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
        }),
    }
}

/// Lower-case words joined by one dot, one or two underscores, or any number of dashes.
fn is_component(component: &str) -> bool {
    let is_word = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let bytes = component.as_bytes();
    let (Some(&first), Some(&last)) = (bytes.first(), bytes.last()) else { return false };
    let joints_are_legal = component
        .split(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit())
        .all(|joint| matches!(joint, "" | "." | "_" | "__") || joint.bytes().all(|b| b == b'-'));
    is_word(first) && is_word(last) && joints_are_legal
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(registry) = &self.registry {
            write!(f, "{registry}/")?;
        }
        f.write_str(&self.repository)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        match &self.digest {
            Some(digest) => write!(f, "@{digest}"),
            None => Ok(()),
        }
    }
}

impl TryFrom<String> for Reference {
    type Error = ImageError;

    fn try_from(text: String) -> Result<Self, ImageError> {
        text.parse()
    }
}

impl From<Reference> for String {
    fn from(reference: Reference) -> Self {
        reference.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_to_one_form() {
        let digest = Digest::of(b"x");
        for (text, normal) in [
            ("hello", "hello:latest".to_owned()),
            ("docker.io/library/hello:1", "hello:1".to_owned()),
            ("docker.io/shop/web", "shop/web:latest".to_owned()),
            ("localhost:5000/x", "localhost:5000/x:latest".to_owned()),
            ("registry.example.com/library/x:v1.2", "registry.example.com/library/x:v1.2".to_owned()),
            ("[::1]:5000/a/b__c", "[::1]:5000/a/b__c:latest".to_owned()),
            (&format!("localhost:5000/x@{digest}"), format!("localhost:5000/x@{digest}")),
            (&format!("x:1@{digest}"), format!("x:1@{digest}")),
        ] {
            let reference: Reference = text.parse().unwrap();
            assert_eq!(reference.to_string(), normal, "{text}");
            assert_eq!(normal.parse::<Reference>().unwrap(), reference, "{text}");
        }
    }

    #[test]
    fn what_is_no_name_is_refused() {
        for text in [
            "",
            ":1",
            "Hello",
            "a//b",
            "a/",
            "/a",
            "a:",
            "a: b",
            "a:-x",
            "a@sha256:12",
            "../a",
            "a/../b",
            "a b",
            "-a",
            "a.",
            "a..b",
            "a___b",
            "localhost:99999/x",
            "host.:5/x",
            "[::g]:1/x",
            "a\n",
        ] {
            assert!(text.parse::<Reference>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn only_this_machine_is_loopback() {
        for (text, expected) in [
            ("localhost/x", true),
            ("localhost:5000/x", true),
            ("127.0.0.1:5000/x", true),
            ("[::1]:5000/x", true),
            ("hello", false),
            ("localhost.example.com/x", false),
            ("10.0.0.1:5000/x", false),
        ] {
            assert_eq!(text.parse::<Reference>().unwrap().is_loopback(), expected, "{text}");
        }
    }
}
