//! Control's wires to the agent in this process: two bounded channels of messages.

use std::sync::Arc;

use kogge_agent::{LINK_CAPACITY, Link};
use kogge_control::ports::{AgentLinks, ToAgents};
use kogge_model::id::AgentId;
use kogge_model::link::FromControl;
use tokio::sync::mpsc;

/// Both ends.
pub(crate) struct Links {
    /// For control.
    pub(crate) control: AgentLinks,
    /// For the agent.
    pub(crate) agent: Link,
}

/// A link in this process.
pub(crate) fn connect() -> Links {
    let (to_control, incoming) = mpsc::channel(LINK_CAPACITY);
    let (to_agent, from_control) = mpsc::channel(LINK_CAPACITY);
    let outgoing = Arc::new(OneAgent(to_agent));
    Links { control: AgentLinks { incoming, outgoing }, agent: Link { to_control, from_control } }
}

/// There is only one: whatever is said to any agent is said to it.
struct OneAgent(mpsc::Sender<FromControl>);

impl ToAgents for OneAgent {
    fn send(&self, agent: &AgentId, message: FromControl) {
        if self.0.try_send(message).is_err() {
            tracing::debug!(%agent, "the link is full, an order is dropped and comes again");
        }
    }
}
