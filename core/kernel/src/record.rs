//! What the kernel keeps across its own end. All of it is enough to go on from any point between two effects.

use std::sync::Arc;

use kogge_model::agent::AgentInfo;
use kogge_model::id::{FrameworkId, RunId};
use kogge_model::reason::Reason;
use kogge_model::scheduler::FrameworkInfo;
use kogge_model::task::{Ended, Outcome, TaskSpec, TaskState, TaskStatus};
use serde::{Deserialize, Serialize};

use crate::rules::Rules;

/// A task from its launch until its end is acknowledged, or, when it was lost, until its agent says that it is over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskRecord {
    /// Whose it is.
    pub framework: FrameworkId,
    /// What runs.
    pub spec: Arc<TaskSpec>,
    /// Which launch, where, and the newest state. Sequence 0 was made by the kernel itself.
    pub status: TaskStatus,
    /// The order to end it, once given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kill: Option<KillOrder>,
}

/// An order to end a task, repeated to its agent until it is under way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KillOrder {
    /// Between the stop signal and SIGKILL, in ms; none means the template's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grace_ms: Option<u64>,
    /// Why, for people.
    pub reason: Reason,
}

/// An agent that was admitted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentRecord {
    /// As it last presented itself.
    pub info: AgentInfo,
    /// What operators have said of it.
    #[serde(default)]
    pub rules: Rules,
}

/// A framework that subscribed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FrameworkRecord {
    /// As it last presented itself.
    pub info: FrameworkInfo,
    /// It was torn down and waits for its last tasks to end.
    #[serde(default)]
    pub is_ending: bool,
}

/// Everything that was kept, in any order.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Records {
    /// Agents that were admitted.
    pub agents: Vec<AgentRecord>,
    /// Frameworks that subscribed.
    pub frameworks: Vec<FrameworkRecord>,
    /// Tasks that are not over and settled.
    pub tasks: Vec<TaskRecord>,
    /// The newest [`crate::Effect::SaveHighestRun`].
    pub highest_run: RunId,
}

impl TaskRecord {
    /// Whether the agent has ever answered the launch.
    #[must_use]
    pub const fn is_confirmed(&self) -> bool {
        self.status.sequence > 0
    }

    /// Whether the kernel gave it up. It may still run, so its resources stay held until its agent says otherwise.
    #[must_use]
    pub const fn is_given_up(&self) -> bool {
        self.status.sequence == 0
            && matches!(self.status.state, TaskState::Ended(Ended { outcome: Outcome::Lost, .. }))
    }

    /// Whether the framework may still count on it.
    #[must_use]
    pub const fn is_live(&self) -> bool {
        !self.status.state.is_terminal()
    }
}
