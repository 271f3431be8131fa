//! Where a server's door for agents is.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// The door for agents.
pub const DEFAULT_PORT: u16 = 7401;

/// `HOST:PORT`; looked up anew at each try, since addresses change.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ServerAddress {
    host: String,
    port: u16,
}

/// Why a text is no address.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{text:?} is not a server's address: use HOST, HOST:PORT or [IPV6]:PORT")]
pub struct AddressError {
    /// The text.
    pub text: String,
}

impl ServerAddress {
    /// A name or an address, without brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }
}

impl fmt::Display for ServerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port } = self;
        if host.contains(':') { write!(f, "[{host}]:{port}") } else { write!(f, "{host}:{port}") }
    }
}

impl FromStr for ServerAddress {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let error = || AddressError { text: text.to_owned() };
        let (host, port) = match text.strip_prefix('[').map(|rest| rest.split_once(']')) {
            Some(Some((host, rest))) => (host, rest.strip_prefix(':').or(rest.is_empty().then_some(""))),
            Some(None) => return Err(error()),
            None if text.matches(':').count() > 1 => (text, Some("")),
            None => text.split_once(':').map_or((text, Some("")), |(host, port)| (host, Some(port))),
        };
        let port = match port.ok_or_else(error)? {
            "" if text.ends_with(':') && !host.contains(':') => return Err(error()),
            "" => DEFAULT_PORT,
            port => port.parse().map_err(|_| error())?,
        };
        let is_host = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_' | b':' | b'%');
        if host.is_empty() || host.len() > 253 || !host.bytes().all(is_host) || port == 0 {
            return Err(error());
        }
        Ok(Self { host: host.to_owned(), port })
    }
}

impl From<std::net::SocketAddr> for ServerAddress {
    fn from(address: std::net::SocketAddr) -> Self {
        Self { host: address.ip().to_string(), port: address.port() }
    }
}

impl TryFrom<String> for ServerAddress {
    type Error = AddressError;

    fn try_from(text: String) -> Result<Self, AddressError> {
        text.parse()
    }
}

impl From<ServerAddress> for String {
    fn from(address: ServerAddress) -> Self {
        address.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_as_people_write_them() {
        for (text, expected) in [
            ("host", "host:7401"),
            ("host.example:80", "host.example:80"),
            ("10.0.0.1", "10.0.0.1:7401"),
            ("[::1]:9", "[::1]:9"),
            ("[fe80::1]", "[fe80::1]:7401"),
            ("fe80::1", "[fe80::1]:7401"),
        ] {
            assert_eq!(text.parse::<ServerAddress>().unwrap().to_string(), expected);
        }
        for text in ["", ":80", "host:", "host:0", "host:99999", "http://host", "[::1", "[::1]x", "a b"] {
            assert!(text.parse::<ServerAddress>().is_err(), "{text}");
        }
    }
}
