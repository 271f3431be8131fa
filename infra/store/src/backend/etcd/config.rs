//! Which etcd, which part of it, and as whom.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

/// Where the members of one etcd cluster are reached, and how. Made from an address in one line, or by hand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Members, in any order; one is enough, more are used when it fails.
    pub endpoints: Vec<Endpoint>,
    /// Everything of this cloud lies under `/prefix:`. Segments of letters, digits, `.`, `_` and `-`, separated by
    /// slashes.
    pub prefix: String,
    /// TLS, or none.
    pub tls: Option<TlsFiles>,
    /// Who asks; none where etcd has no users.
    pub user: Option<User>,
    /// How long a request may take, with all attempts and waits in it. Also how long opening may take.
    pub request_deadline: Duration,
    /// How long a leader that is silent stays leader, in whole seconds; etcd raises it to one and a half of its own
    /// election timeout.
    pub leadership_ttl: Duration,
    /// How much history whoever leads leaves: at least so long, at most twice that. Without, etcd keeps all of it until its
    /// quota is used up.
    pub history: Duration,
    /// By how many bytes history may grow: when more is written in a shorter time, less of it is left. etcd's quota is
    /// 2 GiB, unless it was told otherwise.
    pub history_bytes: u64,
}

impl Config {
    /// Without TLS and user, with the default times.
    #[must_use]
    pub fn new(endpoints: Vec<Endpoint>, prefix: impl Into<String>) -> Self {
        Self {
            endpoints,
            prefix: prefix.into(),
            tls: None,
            user: None,
            request_deadline: Duration::from_secs(5),
            leadership_ttl: Duration::from_secs(3),
            history: Duration::from_secs(5 * 60),
            history_bytes: 256 << 20,
        }
    }
}

/// As an address without the password and without the files.
impl fmt::Display for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "etcd{}://", if self.tls.is_some() { "s" } else { "" })?;
        if let Some(user) = &self.user {
            write!(f, "{}@", user.name)?;
        }
        for (n, endpoint) in self.endpoints.iter().enumerate() {
            write!(f, "{}{endpoint}", if n > 0 { "," } else { "" })?;
        }
        write!(f, "/{}", self.prefix)
    }
}

/// A member of the cluster.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Endpoint {
    /// A name or an address; of IPv6 without brackets.
    pub host: String,
    /// The port for clients, 2379 by default.
    pub port: u16,
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// PEM files for TLS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// Certificates of who may vouch for etcd.
    pub authority: PathBuf,
    /// Our own certificate and its key, where etcd asks clients for one.
    pub client: Option<ClientFiles>,
}

/// A client's certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientFiles {
    /// The certificate and what leads to the authority.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

/// Who asks.
#[derive(Clone, PartialEq, Eq)]
pub struct User {
    /// The name that etcd knows.
    pub name: String,
    /// Never shown, also not by `Debug`.
    pub password: String,
}

impl fmt::Debug for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("User").field("name", &self.name).finish_non_exhaustive()
    }
}
