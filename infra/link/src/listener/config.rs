//! How a server listens for agents.

use std::time::Duration;

use crate::bounds::MAX_MESSAGE_BYTES;
use crate::identity::Lifetime;
use crate::timing::Timing;
use crate::version::Versions;

/// The listener's configuration.
#[derive(Debug, Clone)]
pub struct ListenerConfig {
    /// The server's own id, in its certificate.
    pub server: String,
    /// The program's version, for people.
    pub program: String,
    /// How long certificates are good for.
    pub lifetime: Lifetime,
    /// How long after its end an agent's certificate still is good for a new one, if the gate agrees: machines are
    /// switched off for a while.
    pub late_renewal: Duration,
    /// How far the clock of a joining agent may be off.
    pub clock_tolerance: Duration,
    /// Connections at once; more are closed at once.
    pub max_connections: usize,
    /// The longest message of a session, in bytes.
    pub max_message_bytes: usize,
    /// Protocol versions spoken.
    pub versions: Versions,
    /// Waits.
    pub timing: Timing,
}

impl ListenerConfig {
    /// The defaults for the server `server` running version `program`.
    #[must_use]
    pub fn new(server: impl Into<String>, program: impl Into<String>) -> Self {
        Self {
            server: server.into(),
            program: program.into(),
            lifetime: Lifetime::default(),
            late_renewal: Duration::from_secs(30 * 24 * 3600),
            clock_tolerance: Duration::from_secs(3600),
            max_connections: 40_000,
            max_message_bytes: MAX_MESSAGE_BYTES,
            versions: Versions::OURS,
            timing: Timing::default(),
        }
    }
}
