//! How control is set up.

use std::time::Duration;

/// Settings that stay as they are while the process runs.
#[derive(Debug, Clone)]
pub struct Config {
    /// Services are offered at `NAME.<domain>`.
    pub domain: String,
    /// The port in the URLs that people are told; the router's door.
    pub router_port: u16,
    /// The API door's URL, for git.
    pub api_url: String,
    /// Revisions of the tree that are kept.
    pub keep_revisions: usize,
    /// How long the leader's lease lasts; only engines with several servers use it.
    pub lease: Duration,
}
