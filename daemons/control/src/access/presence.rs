//! Who comes and goes, as the doors tell.

use std::fmt;
use std::net::SocketAddr;
use std::time::Instant;

use kogge_model::id::AgentId;
use kogge_model::time::Timestamp;
use kogge_model::view::{EventKind, NodeView};

use crate::cloud::Cloud;
use crate::handle::Handle;

/// Somebody with the identity of a connected agent, who was sent away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Impostor {
    /// Where the refused one came from.
    pub(crate) from: SocketAddr,
    pub(crate) at: Timestamp,
}

/// Somebody came or went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Move {
    /// An agent is connected.
    Came {
        /// Which.
        agent: AgentId,
        /// Its end of the connection.
        from: SocketAddr,
    },
    /// An agent is not connected any more.
    Went {
        /// Which.
        agent: AgentId,
    },
}

impl fmt::Display for Move {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Came { agent, from } => write!(f, "agent {agent} is connected from {from}"),
            Self::Went { agent } => write!(f, "agent {agent} is not connected any more"),
        }
    }
}

impl Handle {
    /// Agents came or went; the tasks of those that are gone may be alive and well. Thousands come at once to a new
    /// leader: they are told of together.
    pub async fn agents_moved(&self, moves: Vec<Move>) {
        let told = self
            .alter(move |_, round| {
                moves.iter().for_each(|one| round.announce(EventKind::Agent, None, one.to_string()));
                Ok(())
            })
            .await;
        // Nobody is told while this server does not lead.
        let _ = told;
    }

    /// An agent came here and was sent on to whoever leads: it has no way to that one, or has just lost it.
    pub fn agent_sent_on(&self, agent: &AgentId) {
        self.inner.seekers.note(agent, Instant::now());
    }

    /// Somebody else came with an agent's identity, and was sent away.
    pub async fn agent_cloned(&self, agent: AgentId, connected: SocketAddr, refused: SocketAddr) {
        let told = self
            .alter(move |cloud, round| {
                let text = format!(
                    "the identity of agent {agent} is used twice: by {connected}, and by {refused}, which is refused"
                );
                round.announce(EventKind::Agent, None, text);
                cloud.impostors.insert(agent, Impostor { from: refused, at: round.now });
                Ok(())
            })
            .await;
        // A server that does not lead has no agents; the agent comes again to the one that does.
        let _ = told;
    }
}

impl Cloud {
    /// Adds to the reason of agents whose identity was used twice that it was.
    pub(crate) fn tell_impostors(&self, agents: &mut [NodeView]) {
        for agent in self.kernel.view().agents() {
            let Some(Impostor { from, at }) = self.impostors.get(&agent.info().agent) else { continue };
            for view in agents.iter_mut().filter(|view| view.name == agent.info().name) {
                view.reason =
                    format!("{}; its identity was used twice, and refused to {from} at {at}", view.reason);
            }
        }
    }
}
