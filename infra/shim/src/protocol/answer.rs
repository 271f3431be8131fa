//! What a shim answers.

use kogge_model::id::{RunId, TaskId};
use kogge_model::task::Exit;
use kogge_model::time::Timestamp;
use serde::{Deserialize, Serialize};

use super::{EndedTask, PROTOCOL_VERSION, TaskStats};

/// One answer as it goes over the wire.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AnswerLine {
    /// The shim's [`PROTOCOL_VERSION`].
    pub v: u32,
    /// What it says.
    pub answer: Answer,
}

impl AnswerLine {
    /// `answer` in this code's version.
    #[must_use]
    pub const fn new(answer: Answer) -> Self {
        Self { v: PROTOCOL_VERSION, answer }
    }
}

/// What a shim may say.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// The request is fulfilled.
    Done,
    /// To `ping`.
    Pong(Pong),
    /// To `wait`.
    Ended(EndedTask),
    /// To `stats`.
    Stats(TaskStats),
    /// First answer to `exec`; a terminal's master end comes with it.
    ExecStarted(ExecStarted),
    /// Second answer to `exec`.
    ExecEnded(ExecEnded),
    /// The request could not be fulfilled.
    Failed(Failure),
}

/// Who is there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pong {
    /// The task.
    pub task: TaskId,
    /// Its launch.
    pub run: RunId,
    /// Process id of the container's first process, as the host counts.
    pub pid: u32,
    /// Process id of the shim.
    pub shim_pid: u32,
    /// When the task was started.
    pub started_at: Timestamp,
    /// Whether the task is frozen.
    pub is_paused: bool,
    /// Whether the task has ended.
    pub has_ended: bool,
}

/// A process was added.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExecStarted {
    /// Its id in `kill`; counted from 1, never reused.
    pub exec: u64,
    /// Process id, as the host counts.
    pub pid: u32,
}

/// An added process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExecEnded {
    /// Its id.
    pub exec: u64,
    /// How.
    pub exit: Exit,
}

/// Why not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{text}")]
pub struct Failure {
    /// What a caller can branch on.
    pub kind: Fault,
    /// What a person can read.
    pub text: String,
}

impl Failure {
    /// A fault and its text.
    #[must_use]
    pub fn new(kind: Fault, text: impl Into<String>) -> Self {
        Self { kind, text: text.into() }
    }
}

/// Kinds of failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// This shim does not know such a request: it is older than its client.
    UnknownRequest,
    /// The request makes no sense as it stands.
    BadRequest,
    /// Not in the task's present state: it has ended, or is paused, or still runs.
    WrongState,
    /// The time was up.
    TimedOut,
    /// Too many connections or execs at once.
    Busy,
    /// The operating system or the runtime refused.
    System,
    /// A kind this client does not know yet.
    #[serde(other)]
    Other,
}
