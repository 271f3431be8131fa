//! The messages between control and an agent, over any link: it may drop, repeat, delay and reorder them.
//!
//! Orders and updates come again until they are answered; each side recognises repeats by task, run and sequence.
//! Every message carries the cluster and the term: an agent ignores another cluster and lower terms (G4).

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::agent::AgentInfo;
use crate::id::{AgentId, ClusterId, RunId, TaskId, Term};
use crate::reason::Reason;
use crate::resources::Resources;
use crate::task::{TaskSpec, TaskStatus};

/// A message from control with its authority.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FromControl {
    /// Whose cluster.
    pub cluster: ClusterId,
    /// Which leader's.
    pub term: Term,
    /// The words.
    pub body: ToAgent,
}

/// What control tells an agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum ToAgent {
    /// The registration stands. Answered by nothing.
    Registered,
    /// Who are you? Sent to an agent that speaks without having registered with this leader; it registers again.
    Unknown,
    /// Run this. Answered by a status; a repeat of a known run changes nothing.
    Launch {
        /// The launch's number.
        run: RunId,
        /// What to run.
        spec: Arc<TaskSpec>,
    },
    /// End this. Answered by a status; for a task never heard of by an ended one (so the order stops coming).
    Kill {
        /// Which task.
        task: TaskId,
        /// Which launch of it.
        run: RunId,
        /// Between the stop signal and SIGKILL, in ms; none means the template's.
        grace_ms: Option<u64>,
        /// Why, for people.
        reason: Reason,
    },
    /// The update is safe in the store; it need not come again.
    Acknowledge {
        /// Whose update.
        task: TaskId,
        /// Which launch of it.
        run: RunId,
        /// Which update.
        sequence: u64,
    },
    /// Answers [`ToControl::AskLease`]: the task may live for its lease, counted from when this was asked.
    GrantLease {
        /// Whose.
        task: TaskId,
        /// Which launch of it.
        run: RunId,
        /// Which ask.
        ticket: u64,
    },
}

/// A message from an agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FromAgent {
    /// Whose words.
    pub agent: AgentId,
    /// The words.
    pub body: ToControl,
}

/// What an agent tells control.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum ToControl {
    /// I am here with these resources and every task I know, ended ones until they are acknowledged.
    /// Comes again until answered with [`ToAgent::Registered`].
    Register {
        /// What the agent is and has.
        info: AgentInfo,
        /// The cluster it belongs to, none for a new one.
        cluster: Option<ClusterId>,
        /// The highest term it has obeyed.
        term: Term,
        /// The newest state of each task it has.
        tasks: Vec<TaskStatus>,
        /// What each task that has not ended takes, so that control can account for tasks it does not know (G4).
        held: BTreeMap<TaskId, Resources>,
    },
    /// A task's newest state. Comes again until acknowledged.
    Status(TaskStatus),
    /// May this single-copy task live on (G9)? Asked before it is started and well before its lease ends; who gets no
    /// answer asks again, who is refused hears nothing.
    AskLease {
        /// Which.
        task: TaskId,
        /// Which launch of it.
        run: RunId,
        /// Known to the asker alone: a grant counts from when this was asked.
        ticket: u64,
    },
    /// I am alive.
    Heartbeat,
}
