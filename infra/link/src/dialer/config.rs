//! How an agent finds its servers, and what its link needs from it.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use kogge_model::reason::Reason;
use tokio::sync::watch;

use crate::address::ServerAddress;
use crate::identity::Identity;
use crate::reach::TaskDoor;
use crate::timing::Timing;
use crate::version::Versions;

/// The dialer's configuration.
#[derive(Debug, Clone)]
pub struct DialerConfig {
    /// Who the agent is.
    pub identity: Identity,
    /// Servers to begin with; at least one. Servers tell of others.
    pub servers: Vec<ServerAddress>,
    /// The program's version, for people.
    pub program: String,
    /// Messages that may wait in each direction. When they are full, more are dropped, and come again.
    pub capacity: usize,
    /// Protocol versions spoken.
    pub versions: Versions,
    /// Waits.
    pub timing: Timing,
}

impl DialerConfig {
    /// The defaults for an agent running version `program`.
    #[must_use]
    pub fn new(identity: Identity, servers: Vec<ServerAddress>, program: impl Into<String>) -> Self {
        Self {
            identity,
            servers,
            program: program.into(),
            capacity: 1_024,
            versions: Versions::OURS,
            timing: Timing::default(),
        }
    }
}

/// What the dialer needs from the agent.
#[derive(Clone)]
pub struct DialerPorts {
    /// The agent's tasks.
    pub tasks: Arc<dyn TaskDoor>,
    /// What the agent makes of the bulletins; empty while it has nothing to say. Sent whenever it changes.
    pub note: watch::Receiver<Bytes>,
    /// The agent's memory.
    pub keeper: Arc<dyn Keeper>,
}

/// Keeps what an agent must not forget over a restart.
pub trait Keeper: Send + Sync {
    /// Keeps a renewed identity in place of the old one.
    fn keep_identity<'a>(&'a self, identity: &'a Identity) -> BoxFuture<'a, Result<(), Reason>>;
    /// Keeps where the servers are now.
    fn keep_servers<'a>(&'a self, servers: &'a [ServerAddress]) -> BoxFuture<'a, Result<(), Reason>>;
}
