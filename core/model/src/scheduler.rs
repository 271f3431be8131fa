//! The words between the kernel and a framework: the same that a foreign Mesos framework uses.
//!
//! Names and meaning follow the Mesos scheduler API (v1, Call and Event), so that `edge/compat` only translates.
//! `services` speaks nothing else with the kernel.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::attribute::Attributes;
use crate::id::{AgentId, FrameworkId, OfferId, RunId, TaskId};
use crate::reason::Reason;
use crate::resources::Resources;
use crate::task::{TaskSpec, TaskStatus};

/// Resources of one agent, held for one framework until accepted, declined or rescinded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Offer {
    /// Its number, never reused.
    pub id: OfferId,
    /// Whose resources these are.
    pub agent: AgentId,
    /// What the agent says of itself.
    pub attributes: Arc<Attributes>,
    /// What is offered: the agent's whole free remainder.
    pub resources: Resources,
}

/// An agent whose resources are wanted back: whoever has tasks there should move them elsewhere. Nothing of them is
/// ended for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InverseOffer {
    /// Whose resources these are.
    pub agent: AgentId,
    /// Who wants them back and what for.
    pub reason: Reason,
}

/// Who subscribes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FrameworkInfo {
    /// Its identity; the same again means it came back.
    pub framework: FrameworkId,
    /// A name for people.
    pub name: String,
    /// Its share against others, 1000 is normal.
    pub weight_millis: u64,
    /// How long its tasks outlive its connection.
    pub failover_ms: u64,
}

/// What a framework asks of the kernel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Call {
    /// Be offered resources and told of updates, first of all that were not acknowledged.
    Subscribe(FrameworkInfo),
    /// The same, by one that remembers: instead it is told the state of all its tasks, each once, and of those that it
    /// knows, should they be none of them; but not what it knows already, which counts as acknowledged.
    Resume {
        /// Who it is.
        info: FrameworkInfo,
        /// What it remembers.
        known: Vec<KnownUpdate>,
    },
    /// Launch tasks on offers, which must all be of one agent; what is left of them is declined with `refuse`.
    Accept {
        /// Offers of one agent.
        offers: Vec<OfferId>,
        /// Tasks that fit into them together.
        launches: Vec<Arc<TaskSpec>>,
        /// Not to be offered the rest for this long.
        refuse: Duration,
    },
    /// Give offers back.
    Decline {
        /// Offers of any agents.
        offers: Vec<OfferId>,
        /// Not to be offered these for this long.
        refuse: Duration,
    },
    /// Clears all refusals: there is new work.
    Revive,
    /// No offers until revived.
    Suppress,
    /// End a task.
    Kill {
        /// Which.
        task: TaskId,
        /// Between the stop signal and SIGKILL; none means the template's.
        grace: Option<Duration>,
        /// Why, for people.
        reason: Reason,
    },
    /// The update with this sequence number of this task has been taken to heart and persisted.
    Acknowledge {
        /// Whose update.
        task: TaskId,
        /// Which.
        sequence: u64,
    },
    /// Many of these at once.
    AcknowledgeAll(Vec<(TaskId, u64)>),
    /// Tell the state of these tasks again; empty means all of this framework.
    Reconcile(Vec<TaskId>),
    /// End the framework with all its tasks.
    Teardown,
}

/// The newest that a framework has taken to heart of a task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KnownUpdate {
    /// Which task.
    pub task: TaskId,
    /// Which launch of it; none before its agent spoke of it.
    pub run: Option<RunId>,
    /// The update; 0 if it is none of its agent's.
    pub sequence: u64,
}

impl KnownUpdate {
    /// Whether a status says nothing that is not known.
    #[must_use]
    pub fn is_newest(&self, status: &TaskStatus) -> bool {
        status.sequence > 0 && status.sequence == self.sequence && self.run == Some(status.run)
    }
}

/// What the kernel tells a framework.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Event {
    /// The subscription stands.
    Subscribed(FrameworkId),
    /// Take these, or decline them.
    Offers(Vec<Offer>),
    /// These offers are void.
    Rescind(Vec<OfferId>),
    /// All agents whose resources are wanted back, as Mesos' inverse offers: the whole set each time, so that the
    /// newest counts alone. Comes after the subscription, empty or not, and whenever the set changes.
    InverseOffers(Vec<InverseOffer>),
    /// An agent may be offered that could not be before, or it has become another: it came, came back, or was
    /// changed. No offer, only a hint that looking for one may be worth it now.
    AgentReady {
        /// Which.
        agent: AgentId,
        /// What constraints can ask for there now.
        attributes: Arc<Attributes>,
    },
    /// A task's state. With a sequence number above 0 it comes again until acknowledged.
    Update(TaskStatus),
    /// The agent is gone; updates for its tasks follow.
    AgentLost {
        /// Which.
        agent: AgentId,
        /// Why the kernel thinks so.
        reason: Reason,
    },
    /// A call was refused; nothing of it was done.
    Refused {
        /// Which call, in a word: `accept`, `kill`, ….
        call: String,
        /// Why.
        reason: Reason,
    },
}
