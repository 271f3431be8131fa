//! Who is let in through the door for agents: control's word.

use futures_util::future::BoxFuture;
use kogge_control::access::{Members, Move};
use kogge_control::{Handle, Standing};
use kogge_host::tasks::{OnPanic, TaskGroup};
use kogge_link::{Gate, Impostor, JoinRefused, Joining, Presence};
use kogge_model::digest::Digest;
use kogge_model::id::AgentId;
use kogge_model::reason::Reason;
use std::net::SocketAddr;
use tokio::sync::{mpsc, watch};

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

/// Comings and goings that may wait to be told; more are in the log only.
const MAX_MOVES: usize = 65_536;
/// So many are told together.
const MOVES_AT_ONCE: usize = 512;

/// Tells control, and the log, who comes and goes.
pub(crate) struct ToldPresence {
    control: Handle,
    group: TaskGroup,
    moves: mpsc::Sender<Move>,
}

impl ToldPresence {
    /// Tells as long as `group` lasts.
    pub(crate) fn start(control: Handle, group: &TaskGroup) -> Self {
        let (moves, waiting) = mpsc::channel(MAX_MOVES);
        let token = group.token();
        let telling = tell(control.clone(), waiting);
        group.spawn("who comes and goes", OnPanic::Log, async move {
            tokio::select! {
                () = token.cancelled() => {}
                () = telling => {}
            }
        });
        Self { control, group: group.clone(), moves }
    }

    fn note(&self, one: Move) {
        if self.moves.try_send(one).is_err() {
            tracing::debug!("too many agents come and go: not all of it is announced");
        }
    }
}

/// Whatever has gathered while control heard of the ones before.
async fn tell(control: Handle, mut waiting: mpsc::Receiver<Move>) {
    let mut moves = Vec::new();
    while waiting.recv_many(&mut moves, MOVES_AT_ONCE).await > 0 {
        control.agents_moved(std::mem::take(&mut moves)).await;
    }
}

impl Presence for ToldPresence {
    fn opened(&self, agent: &AgentId, from: SocketAddr) {
        tracing::info!(%agent, %from, "an agent is connected");
        self.note(Move::Came { agent: agent.clone(), from });
    }

    fn closed(&self, agent: &AgentId) {
        tracing::info!(%agent, "an agent is not connected any more");
        self.note(Move::Went { agent: agent.clone() });
    }

    fn sent_on(&self, agent: &AgentId) {
        self.control.agent_sent_on(agent);
    }

    fn cloned(&self, impostor: &Impostor) {
        let Impostor { agent, connected, refused } = impostor.clone();
        tracing::error!(%agent, %connected, %refused, "the identity of an agent is used twice: the second one is refused");
        let control = self.control.clone();
        self.group.spawn("word of an agent", OnPanic::Log, async move {
            control.agent_cloned(agent, connected, refused).await;
        });
    }
}
