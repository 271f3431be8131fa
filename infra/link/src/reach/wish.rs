//! What a server wants from inside the tasks of an agent.

use kogge_model::id::TaskId;
use kogge_model::view::exec::ExecRequest;
use serde::{Deserialize, Serialize};

use super::log::LogWish;

/// One call's wish; JSON on the wire.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Wish {
    /// Lines of these tasks.
    Logs { tasks: Vec<TaskId>, wish: LogWish },
    /// A program inside this task.
    Exec { task: TaskId, request: ExecRequest },
    /// What this task uses.
    Stats { task: TaskId },
}
