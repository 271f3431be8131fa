//! An etcd in one line, as `--state` takes it.
//!
//! ```text
//! etcd://[USER:PASSWORD@]HOST[:PORT][,HOST[:PORT]…][/PREFIX]
//! etcds://…/PREFIX?ca=FILE[&cert=FILE&key=FILE]            the same over TLS
//! ```
//!
//! `%NN` stands for a byte in user, password and file names. All faults are told at once, and never the password.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use thiserror::Error;

use super::config::{ClientFiles, Config, Endpoint, TlsFiles, User};

const DEFAULT_PORT: u16 = 2379;
const DEFAULT_PREFIX: &str = "kogge";
/// A prefix is sent with each key; a commit of the largest size must stay below etcd's 1.5 MiB.
const MAX_PREFIX_BYTES: usize = 256;

/// An address that is none, with everything that is wrong with it.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub struct AddressError {
    /// At least one.
    pub faults: Vec<AddressFault>,
}

impl fmt::Display for AddressError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("etcd address: ")?;
        for (n, fault) in self.faults.iter().enumerate() {
            write!(f, "{}{fault}", if n > 0 { "; " } else { "" })?;
        }
        Ok(())
    }
}

/// One thing that is wrong with an address.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum AddressFault {
    /// It begins with something else.
    #[error("it must begin with etcd:// or etcds://")]
    Scheme,
    /// A slash in a password ends the part where hosts stand.
    #[error("an @ stands after the first slash: write / in a password as %2F")]
    AtInPath,
    /// Nobody to ask.
    #[error("no host is named")]
    NoHost,
    /// Not a host and a port.
    #[error("{endpoint:?} is not HOST or HOST:PORT")]
    Endpoint {
        /// As written.
        endpoint: String,
    },
    /// The same member twice.
    #[error("{endpoint} is named twice")]
    Repeated {
        /// Which.
        endpoint: Endpoint,
    },
    /// Not a prefix.
    #[error(
        "prefix {prefix:?} is not made of letters, digits, '.', '_', '-' between single slashes, {MAX_PREFIX_BYTES} bytes at most"
    )]
    Prefix {
        /// As written.
        prefix: String,
    },
    /// Half a credential.
    #[error("a user needs a password: USER:PASSWORD@")]
    NoPassword,
    /// A broken `%NN`.
    #[error("{what} has a % that is not followed by two hexadecimal digits, or is not text")]
    Escape {
        /// Where.
        what: &'static str,
    },
    /// Unknown, repeated or empty.
    #[error("{name:?} is not a parameter: ca, cert and key are, each once and with a file")]
    Parameter {
        /// As written.
        name: String,
    },
    /// TLS parameters without TLS.
    #[error("ca, cert and key are for etcds://")]
    PlainWithFiles,
    /// TLS without trust.
    #[error("etcds:// needs ca=FILE, the certificate that vouches for etcd")]
    NoAuthority,
    /// Half an identity.
    #[error("cert=FILE and key=FILE belong together")]
    HalfIdentity,
}

impl FromStr for Config {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let (is_tls, rest) = match (text.strip_prefix("etcd://"), text.strip_prefix("etcds://")) {
            (Some(rest), _) => (false, rest),
            (_, Some(rest)) => (true, rest),
            _ => return Err(AddressError { faults: vec![AddressFault::Scheme] }),
        };
        let mut faults = Vec::new();
        let (place, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, path) = place.split_once('/').unwrap_or((place, ""));
        if path.contains('@') {
            // What stands before it may be half a password: look no further.
            return Err(AddressError { faults: vec![AddressFault::AtInPath] });
        }
        let (credentials, hosts) = match authority.rsplit_once('@') {
            Some((credentials, hosts)) => (Some(credentials), hosts),
            None => (None, authority),
        };
        let user = credentials.and_then(|credentials| user(credentials, &mut faults));
        let endpoints = endpoints(hosts, &mut faults);
        let prefix = prefix(path, &mut faults);
        let tls = tls(is_tls, query, &mut faults);
        if faults.is_empty() {
            Ok(Self { tls, user, ..Self::new(endpoints, prefix) })
        } else {
            Err(AddressError { faults })
        }
    }
}

fn user(credentials: &str, faults: &mut Vec<AddressFault>) -> Option<User> {
    let Some((name, password)) = credentials.split_once(':').filter(|(name, _)| !name.is_empty()) else {
        faults.push(AddressFault::NoPassword);
        return None;
    };
    let name = decode(name, "the user", faults);
    let password = decode(password, "the password", faults);
    Some(User { name: name?, password: password? })
}

fn endpoints(hosts: &str, faults: &mut Vec<AddressFault>) -> Vec<Endpoint> {
    let mut endpoints = Vec::new();
    for text in hosts.split(',').map(str::trim).filter(|text| !text.is_empty()) {
        match endpoint(text) {
            None => faults.push(AddressFault::Endpoint { endpoint: text.to_owned() }),
            Some(endpoint) if endpoints.contains(&endpoint) => {
                faults.push(AddressFault::Repeated { endpoint })
            }
            Some(endpoint) => endpoints.push(endpoint),
        }
    }
    if endpoints.is_empty() && hosts.chars().all(|c| c == ',' || c.is_whitespace()) {
        faults.push(AddressFault::NoHost);
    }
    endpoints
}

fn endpoint(text: &str) -> Option<Endpoint> {
    let (host, rest) = match text.strip_prefix('[') {
        Some(inner) => {
            let (host, rest) = inner.split_once(']')?;
            host.parse::<std::net::Ipv6Addr>().ok()?;
            (host, rest)
        }
        None => text.split_at(text.find(':').unwrap_or(text.len())),
    };
    let port = match rest.strip_prefix(':') {
        Some(port) => port.parse().ok().filter(|&port| port != 0)?,
        None if rest.is_empty() => DEFAULT_PORT,
        None => return None,
    };
    let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    let is_host = !host.is_empty() && (text.starts_with('[') || host.chars().all(is_name));
    is_host.then(|| Endpoint { host: host.to_owned(), port })
}

fn prefix(path: &str, faults: &mut Vec<AddressFault>) -> String {
    let path = path.strip_suffix('/').unwrap_or(path);
    if path.is_empty() {
        return DEFAULT_PREFIX.to_owned();
    }
    if !is_prefix(path) {
        faults.push(AddressFault::Prefix { prefix: path.to_owned() });
    }
    path.to_owned()
}

/// Whether a cloud can live there.
pub(super) fn is_prefix(path: &str) -> bool {
    let is_letter = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    path.len() <= MAX_PREFIX_BYTES
        && path.split('/').all(|segment| !segment.is_empty() && segment.chars().all(is_letter))
}

fn tls(is_tls: bool, query: &str, faults: &mut Vec<AddressFault>) -> Option<TlsFiles> {
    let [mut ca, mut cert, mut key] = [None::<PathBuf>, None, None];
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let (slot, what) = match name {
            "ca" => (&mut ca, "ca"),
            "cert" => (&mut cert, "cert"),
            "key" => (&mut key, "key"),
            _ => {
                faults.push(AddressFault::Parameter { name: name.to_owned() });
                continue;
            }
        };
        if value.is_empty() || slot.is_some() {
            faults.push(AddressFault::Parameter { name: name.to_owned() });
            continue;
        }
        *slot = Some(decode(value, what, faults).unwrap_or_default().into());
    }
    if !is_tls {
        if ca.is_some() || cert.is_some() || key.is_some() {
            faults.push(AddressFault::PlainWithFiles);
        }
        return None;
    }
    let client = match (cert, key) {
        (Some(certificate), Some(key)) => Some(ClientFiles { certificate, key }),
        (None, None) => None,
        _ => {
            faults.push(AddressFault::HalfIdentity);
            None
        }
    };
    if ca.is_none() {
        faults.push(AddressFault::NoAuthority);
    }
    ca.map(|authority| TlsFiles { authority, client })
}

fn decode(text: &str, what: &'static str, faults: &mut Vec<AddressFault>) -> Option<String> {
    let decoded = unescape(text);
    if decoded.is_none() {
        faults.push(AddressFault::Escape { what });
    }
    decoded
}

fn unescape(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        rest = after;
        if first != b'%' {
            bytes.push(first);
            continue;
        }
        let (digits, after) = after.split_at_checked(2)?;
        let digits =
            std::str::from_utf8(digits).ok().filter(|text| text.chars().all(|c| c.is_ascii_hexdigit()))?;
        bytes.push(u8::from_str_radix(digits, 16).ok()?);
        rest = after;
    }
    String::from_utf8(bytes).ok()
}
