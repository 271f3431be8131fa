//! Names and addresses under which clients of other makes look for a server.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use rustls_pki_types::DnsName;
use thiserror::Error;

/// What may stand behind `https://`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum HostName {
    /// An address.
    Ip(IpAddr),
    /// A name of DNS (RFC 1034 §3.5).
    Dns(String),
}

/// A text that is neither.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{text:?} is neither an address nor the name of a host")]
pub struct HostNameError {
    /// The text that was refused.
    pub text: String,
}

impl FromStr for HostName {
    type Err = HostNameError;

    fn from_str(text: &str) -> Result<Self, HostNameError> {
        if let Ok(address) = text.trim_start_matches('[').trim_end_matches(']').parse() {
            return Ok(Self::Ip(address));
        }
        match DnsName::try_from(text) {
            Ok(name) => Ok(Self::Dns(name.as_ref().to_ascii_lowercase())),
            Err(_) => Err(HostNameError { text: text.to_owned() }),
        }
    }
}

/// As it stands in a URL.
impl fmt::Display for HostName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(IpAddr::V6(address)) => write!(f, "[{address}]"),
            Self::Ip(IpAddr::V4(address)) => address.fmt(f),
            Self::Dns(name) => f.write_str(name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_addresses_are_told_apart_and_survive_a_url() {
        for (text, shown) in
            [("10.0.0.1", "10.0.0.1"), ("fd00::1", "[fd00::1]"), ("[::1]", "[::1]"), ("S1.Lan", "s1.lan")]
        {
            assert_eq!(text.parse::<HostName>().unwrap().to_string(), shown);
        }
        for bad in ["", "a b", "https://s1", "s1:7400", "*.lan"] {
            assert!(bad.parse::<HostName>().is_err(), "{bad}");
        }
    }
}
