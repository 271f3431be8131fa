//! One thing launched on one agent. It ends in exactly one terminal state.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::health::Health;
use crate::id::{AgentId, RunId, TaskId};
use crate::name::InstanceId;
use crate::port::Port;
use crate::reason::Reason;
use crate::resources::Resources;
use crate::template::TaskTemplate;
use crate::time::Timestamp;
use crate::variables::Variables;

/// Everything an agent needs to run a task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskSpec {
    /// Its id, never used again.
    pub task: TaskId,
    /// The instance it is, when a service wants it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<InstanceId>,
    /// What to run.
    #[serde(serialize_with = "crate::sparse::serialize")]
    pub template: Arc<TaskTemplate>,
    /// What it takes from its agent, host ports included.
    pub resources: Resources,
    /// The template's ports, in its order, with the host ports that were allocated.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ports: Vec<PortBinding>,
    /// Environment of this very task, on top of the template's.
    #[serde(default, skip_serializing_if = "Variables::is_empty")]
    pub env: Variables,
}

/// A host port and the container port behind it (the same number with the host network).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PortBinding {
    /// On the agent.
    pub host_port: Port,
    /// Inside the container.
    pub container_port: Port,
}

/// Where a task is in its life.
///
/// ```text
///  Staging ──▶ Starting ──▶ Running ──▶ Stopping ──▶ Ended
///     │            │           │                       ▲
///     └────────────┴───────────┴───────────────────────┘
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum TaskState {
    /// Accepted by the kernel, not yet confirmed by the agent.
    Staging,
    /// The agent is at it: image, snapshot, network, process.
    Starting,
    /// The process runs.
    Running(Running),
    /// It was told to end.
    Stopping,
    /// It is over.
    Ended(Ended),
}

/// What is known of a running process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Running {
    /// Process id on the agent.
    pub pid: u32,
    /// When the process was started.
    pub started_at: Timestamp,
    /// The address its ports are reached at from its agent: its own on the bridge, else the agent's.
    pub ip: IpAddr,
    /// What the health checks say.
    pub health: Health,
}

/// How a task ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ended {
    /// When.
    pub at: Timestamp,
    /// The verdict.
    pub outcome: Outcome,
    /// How the process ended, if it ran.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit: Option<Exit>,
}

/// The verdict on an ended task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Ended by itself with exit code 0.
    Finished,
    /// Ended by itself otherwise, or never came up.
    Failed,
    /// Ended because it was told to.
    Killed,
    /// Its agent or its supervisor is gone; whether it still runs is not known.
    Lost,
    /// Refused before it ran: the agent cannot run such a task.
    Rejected,
}

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Exit {
    /// By itself, with this code.
    Code {
        /// 0 to 255.
        code: i32,
    },
    /// By a signal.
    Signal {
        /// Its number.
        signal: i32,
    },
    /// The kernel killed it because its memory limit was reached.
    OutOfMemory,
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Code { code } => write!(f, "exit code {code}"),
            Self::Signal { signal } => write!(f, "killed by signal {signal}"),
            Self::OutOfMemory => f.write_str("out of memory: its limit was reached"),
        }
    }
}

impl TaskState {
    /// Whether nothing can follow.
    #[must_use]
    pub const fn is_terminal(&self) -> bool {
        matches!(self, Self::Ended(_))
    }

    /// Its word for people and machines.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Staging => "staging",
            Self::Starting => "starting",
            Self::Running(_) => "running",
            Self::Stopping => "stopping",
            Self::Ended(ended) => match ended.outcome {
                Outcome::Finished => "finished",
                Outcome::Failed => "failed",
                Outcome::Killed => "killed",
                Outcome::Lost => "lost",
                Outcome::Rejected => "rejected",
            },
        }
    }

    /// Whether `next` may follow. A task only moves forward; a running one may be told of again (health).
    #[must_use]
    pub const fn may_become(&self, next: &Self) -> bool {
        match self {
            Self::Staging => true,
            Self::Starting => !matches!(next, Self::Staging),
            Self::Running(_) => matches!(next, Self::Running(_) | Self::Stopping | Self::Ended(_)),
            Self::Stopping => matches!(next, Self::Stopping | Self::Ended(_)),
            Self::Ended(_) => false,
        }
    }
}

/// A task's state as its agent (or, for the lost, the kernel) tells it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskStatus {
    /// Which task.
    pub task: TaskId,
    /// Which launch of the cluster.
    pub run: RunId,
    /// Where.
    pub agent: AgentId,
    /// Counts the updates of this task on its agent from 1; 0 comes from the kernel and wants no acknowledgement.
    pub sequence: u64,
    /// When the agent saw it.
    pub at: Timestamp,
    /// The state itself.
    pub state: TaskState,
    /// Why.
    pub reason: Reason,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ended_task_stays_ended() {
        let ended = TaskState::Ended(Ended { at: Timestamp::ZERO, outcome: Outcome::Finished, exit: None });
        for next in [TaskState::Staging, TaskState::Starting, TaskState::Stopping, ended.clone()] {
            assert!(!ended.may_become(&next));
        }
        assert!(TaskState::Staging.may_become(&ended) && TaskState::Stopping.may_become(&ended));
        assert!(!TaskState::Stopping.may_become(&TaskState::Starting));
    }
}
