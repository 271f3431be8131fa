//! Who sets containers up. Everything after the start (signals, limits, freezing, removal) is ours, the same
//! for every engine.
//!
//! All of this runs in a helper process: see `process::helper`.

mod launcher;
mod libcontainer;
mod runc;

use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use nix::unistd::Pid;
use oci_spec::runtime::{LinuxSeccomp, Process};

use crate::cgroup::Cgroup;
use crate::config::{EngineKind, ShimConfig};
use crate::protocol::WindowSize;

/// Which container.
#[derive(Debug, Clone)]
pub(crate) struct Container {
    /// The runtime's id.
    pub(crate) id: String,
    /// Holds `config.json`.
    pub(crate) bundle: PathBuf,
    /// Holds the runtime's state of all containers.
    pub(crate) state_root: PathBuf,
    /// Its cgroup, if no swap may be used in it.
    pub(crate) without_swap: Option<Cgroup>,
}

/// One more process, ready to be run.
#[derive(Debug)]
pub(crate) struct Joining {
    /// All of it, as in the OCI spec.
    pub(crate) process: Process,
    /// The container's profile.
    pub(crate) seccomp: Option<LinuxSeccomp>,
    /// Its terminal, or its standard input, output and error.
    pub(crate) stdio: JoiningStdio,
}

/// Where one more process reads and writes.
#[derive(Debug)]
pub(crate) enum JoiningStdio {
    /// Standard input, output, error.
    Files([OwnedFd; 3]),
    /// A new terminal of that size.
    Terminal(WindowSize),
}

/// A process the engine has started.
#[derive(Debug)]
pub(crate) struct Joined {
    pub(crate) pid: Pid,
    /// The master end, if it has a terminal.
    pub(crate) terminal: Option<OwnedFd>,
}

/// Why the runtime refused.
#[derive(Debug, thiserror::Error)]
pub(crate) enum EngineError {
    #[error("cannot create the container")]
    Create(#[source] ::libcontainer::error::LibcontainerError),
    #[error("cannot start the container")]
    Start(#[source] ::libcontainer::error::LibcontainerError),
    #[error("cannot join the container")]
    Join(#[source] ::libcontainer::error::LibcontainerError),
    /// The container was set up, but its program cannot be run.
    #[error("{0}")]
    Program(String),
    #[error("the container has no process id")]
    NoPid,
    #[error("cannot {action}")]
    System { action: &'static str, source: io::Error },
    #[error("cannot run {program}", program = program.display())]
    Tool { program: PathBuf, source: io::Error },
    #[error("{program} {action} failed: {talk}", program = program.display())]
    ToolFailed { program: PathBuf, action: &'static str, talk: String },
}

impl EngineError {
    fn system(action: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::System { action, source }
    }
}

/// A runtime.
pub(crate) trait Engine {
    /// Creates the container and starts its first process with these standard input, output and error.
    fn start(&self, container: &Container, stdio: [OwnedFd; 3]) -> Result<Pid, EngineError>;

    /// Runs one more process in it.
    fn join(&self, container: &Container, joining: Joining) -> Result<Joined, EngineError>;

    /// Drops what the runtime keeps of a container whose processes and cgroup are gone. Nothing to drop is fine.
    fn forget(&self, container: &Container) -> Result<(), EngineError>;
}

impl EngineKind {
    /// The engine that is meant.
    pub(crate) fn engine(&self) -> Box<dyn Engine> {
        match self {
            Self::Libcontainer => Box::new(libcontainer::Library),
            Self::Runc { path } => Box::new(runc::Tool { program: path.clone() }),
        }
    }
}

impl Container {
    /// Of a shim's configuration.
    pub(crate) fn of(config: &ShimConfig) -> Self {
        Self {
            id: config.task.as_str().to_owned(),
            bundle: config.bundle.clone(),
            state_root: config.state_root.clone(),
            without_swap: None,
        }
    }

    /// Before its program runs, `cgroup` is closed to swap.
    pub(crate) fn without_swap(self, cgroup: Cgroup) -> Self {
        Self { without_swap: Some(cgroup), ..self }
    }

    fn state_dir(&self) -> PathBuf {
        self.state_root.join(&self.id)
    }
}

/// Removes a directory and all in it; none there is fine.
fn remove_dir(path: &Path) -> io::Result<()> {
    match std::fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
