//! How a task ended, as `exit.json` keeps it.

use std::io;
use std::path::Path;

use kogge_model::id::{RunId, TaskId};
use kogge_model::log_record::LogCount;
use kogge_model::task::Exit;
use kogge_model::time::Timestamp;
use serde::{Deserialize, Serialize};

use super::ENDED_FILE;

/// The last word on a task, written by its shim.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndedTask {
    /// The version of the protocol that wrote it.
    pub v: u32,
    /// The task.
    pub task: TaskId,
    /// Its launch.
    pub run: RunId,
    /// Process id of the container's first process while it lived.
    pub pid: u32,
    /// When it was started.
    pub started_at: Timestamp,
    /// When its end was seen.
    pub ended_at: Timestamp,
    /// How it ended.
    pub exit: Exit,
    /// Why, in words.
    pub reason: String,
    /// Processes of the task that the kernel killed for lack of memory; the first one need not be among them.
    pub oom_kills: u64,
    /// Whether its shim told it to end because its lease was over.
    #[serde(default)]
    pub is_lease_over: bool,
    /// What it wrote altogether.
    pub logged: LogCount,
    /// What of that could not be kept because writing failed.
    pub log_lost: LogCount,
}

impl EndedTask {
    /// Reads `exit.json` from a shim's directory; none if the task has not ended under its shim.
    ///
    /// # Errors
    /// When the file is there but cannot be read or understood.
    pub fn load(dir: &Path) -> io::Result<Option<Self>> {
        match std::fs::read(dir.join(ENDED_FILE)) {
            Ok(text) => Ok(Some(serde_json::from_slice(&text)?)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Writes `exit.json`, synced, as a whole.
    pub(crate) fn save(&self, dir: &Path) -> io::Result<()> {
        let text = serde_json::to_vec(self).expect("an end is plain data");
        crate::durable::replace_file_synced(&dir.join(ENDED_FILE), &text)
    }
}
