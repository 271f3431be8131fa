//! Which server leads, as far as this one knows.

use kogge_link::ServerAddress;
use serde::{Deserialize, Serialize};

/// A server, as the others find it in the state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerRecord {
    /// Its name.
    pub name: String,
    /// Where agents and other servers come in; none when it has no such door.
    pub door: Option<ServerAddress>,
    /// The URL of its API.
    pub api: String,
    /// The program's version.
    pub version: String,
}

impl ServerRecord {
    /// Whether it is where `other` is: then they are the same server, in two of its lives.
    pub(crate) fn is_at_the_doors_of(&self, other: &Self) -> bool {
        let is_there = self.door == other.door && (self.door.is_some() || self.api == other.api);
        self.name == other.name && is_there
    }

    /// Where it is, for people.
    #[must_use]
    pub fn place(&self) -> String {
        self.door.as_ref().map_or_else(|| self.api.clone(), ToString::to_string)
    }

    /// As it stands in the state.
    pub(crate) fn to_bytes(&self) -> bytes::Bytes {
        serde_json::to_vec(self).expect("a record is plain data").into()
    }
}

/// What this server is at the moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// It decides.
    Leads,
    /// It was elected and reads the state: it decides in a moment.
    TakesOver,
    /// Another one decides, or none does.
    Follows(Option<ServerRecord>),
}

impl Standing {
    /// Whether this server decides.
    #[must_use]
    pub const fn leads(&self) -> bool {
        matches!(self, Self::Leads)
    }
}
