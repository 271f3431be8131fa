//! One instance, running or ended, as `kogge ps` shows it.

use serde::{Deserialize, Serialize};

use super::moment::Moment;

/// One task of an instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct InstanceView {
    /// The service it is a copy of, told short: `hello`, `shop/worker`.
    pub service: String,
    /// Its own name, as `kogge exec` takes it: `hello.1`.
    pub instance: String,
    /// The task that is this instance now (or was, when it has ended).
    pub task: String,
    /// `waiting` (to be started again), `staging`, `starting`, `running`, `stopping`; ended: `finished`, `failed`,
    /// `killed`, `lost` or `rejected`.
    pub state: String,
    /// Whether it may get requests.
    pub healthy: bool,
    /// The agent it is on, by name.
    pub agent: Option<String>,
    /// Process id on the agent while it runs.
    pub pid: Option<u32>,
    /// Its published ports.
    pub ports: Vec<PortView>,
    /// The image, as it was asked for; none for a plain command.
    pub image: Option<String>,
    /// When its process was started.
    pub started_at: Option<Moment>,
    /// When it ended.
    #[serde(default)]
    pub ended_at: Option<Moment>,
    /// How often this instance has been started again.
    pub restarts: u32,
    /// Of a single copy: how long it may live without a word from the leader, in ms (G9).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease_ms: Option<u64>,
    /// Why it is in this state.
    pub reason: Option<String>,
    /// What one can do about it.
    #[serde(default)]
    pub hint: Option<String>,
}

/// A published port.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PortView {
    /// On the agent.
    pub host_port: u16,
    /// Inside the container; the same as the host's with the host network.
    pub container_port: u16,
    /// Where this very instance answers, past the router.
    #[serde(default)]
    pub url: Option<String>,
}
