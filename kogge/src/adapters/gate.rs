//! Who is let in through the door for agents: control's word.

use futures_util::future::BoxFuture;
use kogge_control::access::Members;
use kogge_control::{Handle, Standing};
use kogge_host::tasks::{OnPanic, TaskGroup};
use kogge_link::{Gate, Impostor, JoinRefused, Joining, Presence};
use kogge_model::digest::Digest;
use kogge_model::id::AgentId;
use kogge_model::reason::Reason;
use std::net::SocketAddr;
use tokio::sync::watch;

/// The members of the cluster.
pub(crate) struct MemberGate {
    control: Handle,
    members: watch::Receiver<Members>,
}

impl MemberGate {
    pub(crate) fn new(control: Handle) -> Self {
        let members = control.members();
        Self { control, members }
    }
}

impl Gate for MemberGate {
    fn redeem(&self, joining: Joining) -> BoxFuture<'_, Result<(), JoinRefused>> {
        Box::pin(async move {
            let standing = self.control.standing().borrow().clone();
            match standing {
                Standing::Leads => self.control.admit(joining).await,
                Standing::TakesOver => Err(JoinRefused::NotLeader(None)),
                Standing::Follows(leader) => {
                    Err(JoinRefused::NotLeader(leader.and_then(|leader| leader.door)))
                }
            }
        })
    }

    fn admit(&self, agent: &AgentId, key: Digest) -> Result<(), Reason> {
        match self.members.borrow().get(agent) {
            Some(member) if member.key == key => Ok(()),
            Some(_) => Err(Reason::new(format!("agent {agent} has another key by now")).with_hint(
                "the id was taken over by another machine: use a data directory of its own, and join",
            )),
            None => {
                Err(Reason::new(format!("agent {agent} is not, or not any more, a member of this cluster"))
                    .with_hint("join again with a new token: kogge node token"))
            }
        }
    }
}

/// Tells control, and the log, who comes and goes.
pub(crate) struct ToldPresence {
    pub(crate) control: Handle,
    pub(crate) group: TaskGroup,
}

impl ToldPresence {
    fn tell(&self, telling: impl Future<Output = ()> + Send + 'static) {
        self.group.spawn("word of an agent", OnPanic::Log, telling);
    }
}

impl Presence for ToldPresence {
    fn opened(&self, agent: &AgentId, from: SocketAddr) {
        tracing::info!(%agent, %from, "an agent is connected");
        let (control, agent) = (self.control.clone(), agent.clone());
        self.tell(async move { control.agent_came(agent, from).await });
    }

    fn closed(&self, agent: &AgentId) {
        tracing::info!(%agent, "an agent is not connected any more");
        let (control, agent) = (self.control.clone(), agent.clone());
        self.tell(async move { control.agent_went(agent).await });
    }

    fn cloned(&self, impostor: &Impostor) {
        let Impostor { agent, connected, refused } = impostor.clone();
        tracing::error!(%agent, %connected, %refused, "the identity of an agent is used twice: the second one is refused");
        let control = self.control.clone();
        self.tell(async move { control.agent_cloned(agent, connected, refused).await });
    }
}
