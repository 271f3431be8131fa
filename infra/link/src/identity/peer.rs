//! The name in a certificate.

use std::fmt;
use std::str::FromStr;

use kogge_model::id::{AgentId, ClusterId};
use thiserror::Error;

const SCHEME: &str = "kogge://";

/// The longest cluster or peer id.
const MAX_ID_BYTES: usize = 120;

/// What somebody may act as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Decides and gives orders.
    Server,
    /// Runs tasks.
    Agent,
    /// A person, or a program in their name.
    Operator,
}

impl Role {
    const ALL: [Self; 3] = [Self::Server, Self::Agent, Self::Operator];

    /// The word in certificates and messages.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Server => "server",
            Self::Agent => "agent",
            Self::Operator => "operator",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// One member of one cluster; in certificates the URI `kogge://CLUSTER/ROLE/ID` (RFC 5280 §4.2.1.6).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Peer {
    cluster: ClusterId,
    role: Role,
    id: String,
}

/// Why something names no peer.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum PeerError {
    /// An id that would not survive a URI.
    #[error("{id:?} is not an id: use 1 to 120 of letters, digits, '-', '_' and '.'")]
    Id {
        /// The id.
        id: String,
    },
    /// A text of another form.
    #[error("{uri:?} is not a member's name: expected kogge://CLUSTER/ROLE/ID")]
    Uri {
        /// The text.
        uri: String,
    },
}

impl Peer {
    /// The member `id` of `cluster`.
    ///
    /// # Errors
    /// When one of the ids is empty, too long, or has characters of another kind.
    pub fn new(cluster: ClusterId, role: Role, id: impl Into<String>) -> Result<Self, PeerError> {
        let id = id.into();
        check_id(cluster.as_str())?;
        check_id(&id)?;
        Ok(Self { cluster, role, id })
    }

    /// Whose member.
    #[must_use]
    pub const fn cluster(&self) -> &ClusterId {
        &self.cluster
    }

    /// What it may act as.
    #[must_use]
    pub const fn role(&self) -> Role {
        self.role
    }

    /// Which one.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Its id as that of an agent, if it is one.
    #[must_use]
    pub fn agent(&self) -> Option<AgentId> {
        (self.role == Role::Agent).then(|| AgentId::new(&self.id))
    }

    /// As certificates say it.
    #[must_use]
    pub fn uri(&self) -> String {
        format!("{SCHEME}{}/{}/{}", self.cluster, self.role, self.id)
    }
}

/// For people: `agent a1`.
impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.role, self.id)
    }
}

impl FromStr for Peer {
    type Err = PeerError;

    fn from_str(uri: &str) -> Result<Self, PeerError> {
        let error = || PeerError::Uri { uri: uri.to_owned() };
        let rest = uri.strip_prefix(SCHEME).ok_or_else(error)?;
        let [cluster, role, id] = rest.split('/').collect::<Vec<_>>()[..] else { return Err(error()) };
        let role = Role::ALL.into_iter().find(|known| known.word() == role).ok_or_else(error)?;
        Self::new(ClusterId::new(cluster), role, id)
    }
}

/// The URI of an authority, which names its cluster and nothing else.
pub(super) fn authority_uri(cluster: &ClusterId) -> Result<String, PeerError> {
    check_id(cluster.as_str())?;
    Ok(format!("{SCHEME}{cluster}"))
}

/// The cluster in the URI of an authority.
pub(super) fn authority_cluster(uri: &str) -> Option<ClusterId> {
    let cluster = uri.strip_prefix(SCHEME)?;
    check_id(cluster).ok().map(|()| ClusterId::new(cluster))
}

fn check_id(id: &str) -> Result<(), PeerError> {
    let is_plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    if (1..=MAX_ID_BYTES).contains(&id.len()) && id.bytes().all(is_plain) {
        return Ok(());
    }
    Err(PeerError::Id { id: id.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_survives_its_uri() {
        for role in Role::ALL {
            let peer = Peer::new(ClusterId::new("north-1"), role, "a.b_c").unwrap();
            assert_eq!(peer.uri().parse(), Ok(peer));
        }
    }

    #[test]
    fn what_could_be_read_in_two_ways_names_nobody() {
        for uri in [
            "kogge://c/agent/a/b",
            "kogge://c/agent/",
            "kogge:///agent/a",
            "kogge://c/root/a",
            "http://c/agent/a",
            "kogge://c/agent/a b",
            "",
        ] {
            assert!(uri.parse::<Peer>().is_err(), "{uri}");
        }
        assert!(Peer::new(ClusterId::new("c"), Role::Agent, "x".repeat(121)).is_err());
        assert!(Peer::new(ClusterId::new("c/agent"), Role::Agent, "a").is_err());
    }
}
