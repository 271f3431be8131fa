//! Control's wires to its agents: the one in this process, and those that came in through the door.

use std::sync::{Arc, OnceLock};

use kogge_agent::{LINK_CAPACITY, Link};
use kogge_control::ports::{AgentLinks, ToAgents};
use kogge_link::ListenerHandle;
use kogge_model::id::AgentId;
use kogge_model::link::{FromAgent, FromControl};
use tokio::sync::mpsc;

/// The door for agents, which is opened after control is there.
pub(crate) type LateDoor = Arc<OnceLock<ListenerHandle>>;

/// Words of agents that may wait to be heard. One that finds no room waits in its connection, where it holds a buffer of
/// 8 KiB, twenty times its size.
const INCOMING: usize = 32_768;

/// All ends.
pub(crate) struct Wires {
    /// For control.
    pub(crate) control: AgentLinks,
    /// For the agent in this process, if there is one.
    pub(crate) agent: Option<Link>,
    /// For what comes in through the door.
    pub(crate) incoming: mpsc::Sender<FromAgent>,
    /// Once it is open.
    pub(crate) door: LateDoor,
}

/// Wires for a cloud whose own agent, if it has one, is `local`.
pub(crate) fn connect(local: Option<AgentId>) -> Wires {
    let (to_control, incoming) = mpsc::channel(INCOMING);
    let (to_agent, from_control) = mpsc::channel(LINK_CAPACITY);
    let door = LateDoor::default();
    let has_agent = local.is_some();
    let agents = Agents { local: local.map(|agent| (agent, to_agent)), door: Arc::clone(&door) };
    Wires {
        control: AgentLinks { incoming, outgoing: Arc::new(agents) },
        agent: has_agent.then(|| Link { to_control: to_control.clone(), from_control }),
        incoming: to_control,
        door,
    }
}

struct Agents {
    local: Option<(AgentId, mpsc::Sender<FromControl>)>,
    door: LateDoor,
}

impl ToAgents for Agents {
    fn send(&self, agent: &AgentId, message: FromControl) {
        match (&self.local, self.door.get()) {
            (Some((local, wire)), _) if local == agent => {
                if wire.try_send(message).is_err() {
                    tracing::debug!(%agent, "the link is full, an order is dropped and comes again");
                }
            }
            (_, Some(door)) => door.send(agent, message),
            (_, None) => {
                tracing::debug!(%agent, "there is no way to it, an order is dropped and comes again")
            }
        }
    }
}
