//! What can go wrong with snapshots.

use std::io;
use std::path::{Path, PathBuf};

/// A failed snapshot operation.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// The id cannot name files.
    #[error(
        "{id:?} is not a task id: letters, digits, `-`, `.` and `_`, at most 120, not beginning with a dot"
    )]
    BadId {
        /// As given.
        id: String,
    },
    /// Ids are never used twice.
    #[error("task {id} has a snapshot already")]
    Exists {
        /// Which.
        id: String,
    },
    /// No space left.
    #[error("no space left for the snapshot of task {id}")]
    NoSpace {
        /// Which.
        id: String,
    },
    /// The operating system refused.
    #[error("could not {action} {}", path.display())]
    Io {
        /// A verb.
        action: &'static str,
        /// The object of the verb.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl SnapshotError {
    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self + use<> {
        let path = path.to_path_buf();
        move |source| Self::Io { action, path, source }
    }
}
