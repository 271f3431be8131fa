//! The cloud as a whole.

use serde::{Deserialize, Serialize};

/// What `kogge status` shows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct StatusView {
    /// The cloud's process.
    pub pid: u32,
    /// The program's version.
    pub version: String,
    /// Since the process started.
    pub uptime_s: u64,
    /// The cluster's identity.
    pub cluster: String,
    /// The data directory on the server.
    pub data_dir: String,
    /// Agents that are there.
    pub agents: u32,
    /// Services in the tree.
    pub services: u32,
    /// Wished instances of all services.
    pub instances: u32,
    /// Instances that are healthy.
    pub healthy: u32,
    /// The newest revision of the tree; 0 before the first.
    pub revision: u64,
    /// What is not as it should be, a sentence each.
    pub warnings: Vec<String>,
}
