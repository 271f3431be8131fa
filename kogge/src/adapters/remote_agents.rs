//! Control's wires to agents on other machines: the link's listener.

use kogge_control::ports::ToAgents;
use kogge_link::ListenerHandle;
use kogge_model::id::AgentId;
use kogge_model::link::FromControl;

/// All agents that are connected to this server.
pub(crate) struct RemoteAgents(pub(crate) ListenerHandle);

impl ToAgents for RemoteAgents {
    fn send(&self, agent: &AgentId, message: FromControl) {
        self.0.send(agent, message);
    }
}
