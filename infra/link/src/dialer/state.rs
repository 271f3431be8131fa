//! How an agent's link is, for people and probes.

use kogge_model::reason::Reason;

use crate::address::ServerAddress;
use crate::refusal::RefusalKind;

/// Where the link stands.
///
/// ```text
///  Connecting ──▶ Connected ──▶ Waiting ──▶ Connecting
///       └───────────────────────▲
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LinkState {
    /// Trying a server.
    Connecting {
        /// Which.
        server: ServerAddress,
    },
    /// A session stands.
    Connected {
        /// With whom.
        server: ServerAddress,
        /// What it runs.
        program: String,
        /// The protocol's version between the two.
        version: u32,
        /// What should be mended although it works: clocks that are far apart.
        warning: Option<Reason>,
    },
    /// Not connected; the next try comes by itself.
    Waiting {
        /// Why the last one ended.
        why: Reason,
        /// If it was refused: how. Then a person may have to do something.
        refused: Option<RefusalKind>,
    },
    /// The agent has ended.
    Closed,
}

impl LinkState {
    /// The server, if a session stands.
    #[must_use]
    pub const fn server(&self) -> Option<&ServerAddress> {
        match self {
            Self::Connected { server, .. } => Some(server),
            Self::Connecting { .. } | Self::Waiting { .. } | Self::Closed => None,
        }
    }
}
