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
    /// Which agent it is, whatever it is called; none of a server.
    #[serde(default)]
    pub id: Option<String>,
    /// What it is.
    pub role: NodeRole,
    /// Whether it is the server that decides.
    pub leader: bool,
    /// `ready`, `draining`, `drained`, `suspect`, `lost` or `expected`.
    pub state: String,
    /// The program's version.
    pub version: String,
    /// Where others reach it.
    pub address: String,
    /// What an agent has and what of it is taken; none of a server.
    pub resources: Option<NodeResources>,
    /// What constraints can ask for: what an agent says of itself below its labels.
    pub attributes: BTreeMap<String, String>,
    /// What operators say of it.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// Tasks on it.
    pub tasks: Vec<String>,
    /// When it was last heard.
    pub last_seen: Option<Moment>,
    /// Why it is in that state.
    pub reason: String,
}

/// Why an agent is to be emptied.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct DrainRequest {
    /// What for, for people; who asked when left out.
    #[serde(default)]
    pub reason: Option<String>,
}

/// What to say of an agent.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct LabelRequest {
    /// Attribute → value; none takes the label away, so that what the agent says of itself shows again.
    pub labels: BTreeMap<String, Option<String>>,
}

/// What of an agent is withheld from tasks; all of it each time.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct ReserveRequest {
    /// Thousandths of a core.
    #[serde(default)]
    pub cpu_millis: u64,
    /// Memory in bytes.
    #[serde(default)]
    pub mem_bytes: u64,
    /// Disk in bytes.
    #[serde(default)]
    pub disk_bytes: u64,
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
