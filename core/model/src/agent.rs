//! An agent as it presents itself.

use serde::{Deserialize, Serialize};

use crate::attribute::Attributes;
use crate::id::AgentId;
use crate::reason::Reason;
use crate::resources::Resources;

/// What an agent is and has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentInfo {
    /// Its lasting identity.
    pub agent: AgentId,
    /// A name for people, usually the host's.
    pub name: String,
    /// The address other machines reach its published ports at.
    pub address: std::net::IpAddr,
    /// Everything it offers.
    pub resources: Resources,
    /// What constraints can ask for.
    pub attributes: Attributes,
    /// The program's version.
    pub version: String,
    /// Why it takes nothing new at the moment, if so. What runs there runs on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub closed: Option<Reason>,
}
