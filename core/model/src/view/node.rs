//! Servers and agents.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Moment;

/// A server or an agent as `kogge node` shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct NodeView {
    /// Its name for people; the host's if nobody chose another.
    pub name: String,
    /// What it is.
    pub role: NodeRole,
    /// Whether it is the server that decides.
    pub leader: bool,
    /// `ready`, `suspect`, `lost` or `expected`.
    pub state: String,
    /// The program's version.
    pub version: String,
    /// Where others reach it.
    pub address: String,
    /// What an agent has and what of it is taken; none of a server.
    pub resources: Option<NodeResources>,
    /// What constraints can ask for.
    pub attributes: BTreeMap<String, String>,
    /// Tasks on it.
    pub tasks: Vec<String>,
    /// When it was last heard.
    pub last_seen: Option<Moment>,
    /// Why it is in that state.
    pub reason: String,
}

/// What a process is to the cloud.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum NodeRole {
    /// It keeps the state and may lead.
    Server,
    /// It runs tasks.
    Agent,
}

/// What an agent offers. Held is what its tasks take, whether they are known or not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct NodeResources {
    /// Thousandths of a core.
    pub cpu_millis: u64,
    /// Of it, what tasks hold.
    pub held_cpu_millis: u64,
    /// Memory in bytes.
    pub mem_bytes: u64,
    /// Of it, what tasks hold.
    pub held_mem_bytes: u64,
    /// Disk in bytes.
    pub disk_bytes: u64,
    /// Of it, what tasks hold.
    pub held_disk_bytes: u64,
}

impl NodeRole {
    /// Its word.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Server => "server",
            Self::Agent => "agent",
        }
    }
}
