//! What a node keeps across its own end.

use std::sync::Arc;

use kogge_model::id::{ClusterId, RunId, TaskId, Term};
use kogge_model::reason::Reason;
use kogge_model::task::{Ended, Running, TaskSpec, TaskState};
use kogge_model::time::Timestamp;
use serde::{Deserialize, Serialize};

/// What an agent remembers of the cluster.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct AgentRecord {
    /// The cluster it belongs to, none until it was first accepted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster: Option<ClusterId>,
    /// The highest term it has obeyed (G4).
    #[serde(default)]
    pub term: Term,
    /// The highest launch among the tasks it has forgotten: an unknown launch up to here is an echo.
    #[serde(default)]
    pub forgotten_run: RunId,
}

/// What an agent remembers of a task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskRecord {
    /// Which.
    pub task: TaskId,
    /// Which launch of it.
    pub run: RunId,
    /// What to run; none when the order to end it came before the order to launch it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spec: Option<Arc<TaskSpec>>,
    /// The boot of the machine in which this was kept.
    pub boot_id: String,
    /// The sequence of the newest update.
    pub sequence: u64,
    /// When that was made.
    pub at: Timestamp,
    /// What it says.
    pub recorded: Recorded,
    /// Why.
    pub reason: Reason,
    /// Whether control has it safe.
    pub is_acknowledged: bool,
}

/// Where a task is in its life, with what is needed to go on from there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum Recorded {
    /// Accepted; its process may or may not have been started.
    Starting,
    /// The process ran.
    Running(Running),
    /// It was told to end.
    Stopping(StopOrder),
    /// It is over.
    Ended(Ended),
}

/// The order to end a task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StopOrder {
    /// Why, for people.
    pub why: Reason,
    /// Between the stop signal and SIGKILL, in ms.
    pub grace_ms: u64,
    /// When SIGKILL is due.
    pub kill_at: Timestamp,
}

impl Recorded {
    /// The same as it is told to control.
    #[must_use]
    pub fn state(&self) -> TaskState {
        match self {
            Self::Starting => TaskState::Starting,
            Self::Running(running) => TaskState::Running(running.clone()),
            Self::Stopping(_) => TaskState::Stopping,
            Self::Ended(ended) => TaskState::Ended(ended.clone()),
        }
    }
}
