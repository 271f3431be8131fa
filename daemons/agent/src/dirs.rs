//! Where everything of an agent lies.
//!
//! ```text
//! DATA/agent.json agent.lock cluster.json tasks/     identity and records
//! DATA/containers/TASK/                              the shim's directory: shim.json shim.sock exit.json log/ …
//! DATA/containers/TASK/bundle/                       config.json, hosts, hostname, resolv.conf
//! DATA/containers/TASK/files/                        for a command without an image: its root and its own directory
//! DATA/snapshots/TASK/                               what a task wrote on top of its image; goes when it ends
//! RUNTIME/state/                                     the runtime's own state
//! ```

use std::path::{Path, PathBuf};

use kogge_model::id::TaskId;

const MAX_ID_BYTES: usize = 120;

/// The directories of one agent.
#[derive(Debug, Clone)]
pub(crate) struct Dirs {
    pub(crate) data: PathBuf,
    pub(crate) containers: PathBuf,
    pub(crate) snapshots: PathBuf,
    pub(crate) runtime: PathBuf,
    pub(crate) state: PathBuf,
}

impl Dirs {
    pub(crate) fn new(data: &Path, runtime: &Path) -> Self {
        Self {
            data: data.to_owned(),
            containers: data.join("containers"),
            snapshots: data.join("snapshots"),
            runtime: runtime.to_owned(),
            state: runtime.join("state"),
        }
    }

    /// The shim's directory of `task`.
    pub(crate) fn of(&self, task: &TaskId) -> TaskDirs {
        let shim = self.containers.join(task.as_str());
        TaskDirs { bundle: shim.join("bundle"), files: shim.join("files"), log: shim.join("log"), shim }
    }
}

/// The directories of one task.
#[derive(Debug, Clone)]
pub(crate) struct TaskDirs {
    pub(crate) shim: PathBuf,
    pub(crate) bundle: PathBuf,
    pub(crate) files: PathBuf,
    pub(crate) log: PathBuf,
}

/// Whether `task` keeps the rule for ids, and so can name files and cgroups.
pub(crate) fn is_nameable(task: &TaskId) -> bool {
    let text = task.as_str();
    let is_legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.');
    (1..=MAX_ID_BYTES).contains(&text.len()) && text.bytes().all(is_legal) && !text.starts_with('.')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_that_could_lead_elsewhere_name_nothing() {
        for (text, is_good) in [
            ("hello.1-7", true),
            ("", false),
            (".", false),
            ("..", false),
            ("a/b", false),
            ("a b", false),
            ("ä", false),
        ] {
            assert_eq!(is_nameable(&TaskId::new(text)), is_good, "{text:?}");
        }
    }
}
