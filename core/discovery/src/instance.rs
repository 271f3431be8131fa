//! One running copy of a service, as the catalog knows it.

use std::net::SocketAddr;

use kogge_model::id::{AgentId, RunId, TaskId};
use kogge_model::name::InstanceId;

/// Where an instance is reached, and whether it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instance {
    /// Which copy of which service.
    pub instance: InstanceId,
    /// The task that runs it.
    pub task: TaskId,
    /// The launch of that task; the entry lives and dies with it.
    pub run: RunId,
    /// The agent it runs on.
    pub agent: AgentId,
    /// Where requests for it go.
    pub endpoint: SocketAddr,
    /// Whether it should get any.
    pub state: InstanceState,
    /// What it runs, in the caller's words: a template's digest or a release.
    pub version: String,
}

/// Whether an instance may get requests.
///
/// ```text
///  Starting ──▶ Healthy ◀──▶ Unhealthy
///      │           │             │
///      └───────────┴─────────────┴──▶ Draining
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum InstanceState {
    /// Its check has not succeeded yet.
    Starting,
    /// It gets requests.
    Healthy,
    /// Its check fails; it gets none as long as another one is healthy.
    Unhealthy,
    /// It finishes what it has and gets nothing new.
    Draining,
}
