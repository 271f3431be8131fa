//! Finding out what has become of tasks while nobody watched, and clearing them away.
//!
//! ```text
//! exit.json ── there ──▶ Ended
//!     │ not
//! shim.lock ── free ───▶ Lost       the shim is dead or never came up: the kernel has dropped its lock
//!     │ held
//! ping ─────── pong ───▶ Running
//!     └─────── nothing ▶ Lost       alive but deaf for too long
//! ```

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::FlockOperation;

use super::{Client, ClientError};
use crate::cgroup::Cgroup;
use crate::config::{ConfigError, ShimConfig};
use crate::engine::Container;
use crate::protocol::{EndedTask, Fault, LOCK_FILE, Pong, SOCKET_FILE};
use crate::socket::ShortPath;
use crate::spec;

/// How long a shim that holds its lock may take to answer: it may be starting its task.
const ANSWER_PATIENCE: Duration = Duration::from_secs(5);

/// How long what is left of a task may take to die.
const REMOVE_PATIENCE: Duration = Duration::from_secs(5);

/// Between two looks at something that has no signal of its own.
pub(super) const LOOK_EVERY: Duration = Duration::from_millis(5);

/// What became of a task.
#[derive(Debug)]
pub enum Recovered {
    /// It runs, and its shim answers.
    Running(Client, Box<Pong>),
    /// It has ended.
    Ended(Box<EndedTask>),
    /// Its shim is gone; processes of it may still be there until [`destroy`].
    Lost(String),
}

/// Why something of a task is left.
#[derive(Debug, thiserror::Error)]
pub enum CleanupError {
    /// What there is to clean up is not known.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A process or a cgroup stays.
    #[error("cannot remove the task's cgroup")]
    Cgroup(#[source] io::Error),
    /// The runtime's state stays.
    #[error("cannot remove the runtime's state: {0}")]
    State(String),
    /// The shim does not end.
    #[error("the task's supervisor does not end")]
    Supervisor(#[source] ClientError),
}

/// Shim directories in `root`, in order. Directories without `shim.json` were never started.
///
/// # Errors
/// When `root` cannot be read; one that does not exist is empty.
pub fn scan(root: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = match std::fs::read_dir(root) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut dirs = entries.map(|entry| entry.map(|entry| entry.path())).collect::<io::Result<Vec<_>>>()?;
    dirs.retain(|dir| dir.join("shim.json").is_file());
    dirs.sort();
    Ok(dirs)
}

/// What became of the task of `dir`.
///
/// # Errors
/// When the directory cannot be read.
pub async fn recover(dir: &Path) -> io::Result<Recovered> {
    let deadline = Instant::now() + ANSWER_PATIENCE;
    loop {
        let is_alive = try_lock(dir)?.is_none();
        // Looked at after the lock: a shim that has ended wrote it before.
        if let Some(ended) = EndedTask::load(dir)? {
            return Ok(Recovered::Ended(Box::new(ended)));
        }
        if !is_alive {
            return Ok(Recovered::Lost("its supervisor is gone".to_owned()));
        }
        let client = Client::new(dir);
        match tokio::time::timeout(ANSWER_PATIENCE, client.ping()).await {
            Ok(Ok(pong)) if !pong.has_ended => return Ok(Recovered::Running(client, Box::new(pong))),
            _ if Instant::now() >= deadline => {
                return Ok(Recovered::Lost("its supervisor does not answer".to_owned()));
            }
            _ => tokio::time::sleep(LOOK_EVERY).await,
        }
    }
}

/// Ends everything of the task of `dir`, with its shim or without: processes, cgroup, mounts, runtime state.
/// The directory stays, for its logs. May be repeated.
///
/// # Errors
/// When something is left.
pub async fn destroy(dir: &Path) -> Result<(), CleanupError> {
    match Client::new(dir).delete(true).await {
        Ok(()) => return Ok(()),
        Err(ClientError::Refused(failure)) if failure.kind == Fault::WrongState => {}
        Err(
            ClientError::Gone(_)
            | ClientError::TimedOut(_)
            | ClientError::Refused(_)
            | ClientError::Strange(_),
        ) => {}
    }
    kill_deaf_shim(dir).await;
    until_unlocked(dir, REMOVE_PATIENCE).await.map_err(CleanupError::Supervisor)?;
    let dir = dir.to_owned();
    let cleaned = tokio::task::spawn_blocking(move || clean_up(&dir)).await;
    cleaned.unwrap_or_else(|error| Err(CleanupError::State(error.to_string())))
}

fn clean_up(dir: &Path) -> Result<(), CleanupError> {
    let config = ShimConfig::load(dir)?;
    // Without a readable spec nothing was ever started.
    if let Some(path) = spec::load_spec(&config.bundle).ok().and_then(|spec| spec::cgroup_path(&spec)) {
        let cgroup = Cgroup::locate(&path).map_err(CleanupError::Cgroup)?;
        cgroup.remove(REMOVE_PATIENCE).map_err(CleanupError::Cgroup)?;
    }
    let container = Container::of(&config);
    config.engine.engine().forget(&container).map_err(|error| CleanupError::State(error.to_string()))
}

/// A shim that still listens but did not do what it was told.
async fn kill_deaf_shim(dir: &Path) {
    let Ok(path) = ShortPath::new(dir, SOCKET_FILE) else { return };
    let Ok(stream) = tokio::net::UnixStream::connect(path.as_path()).await else { return };
    let Ok(peer) = rustix::net::sockopt::socket_peercred(&stream) else { return };
    tracing::warn!(pid = peer.pid.as_raw_nonzero(), dir = %dir.display(), "killing a supervisor that does not obey");
    let _ = rustix::process::kill_process(peer.pid, rustix::process::Signal::KILL);
}

/// Waits until no shim holds `dir`.
pub(super) async fn until_unlocked(dir: &Path, patience: Duration) -> Result<(), ClientError> {
    let deadline = Instant::now() + patience;
    while try_lock(dir).map_err(ClientError::Gone)?.is_none() {
        if Instant::now() >= deadline {
            return Err(ClientError::TimedOut(patience));
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
    Ok(())
}

/// The lock, held until dropped; none if a shim holds it. A directory that never had a shim can be locked.
fn try_lock(dir: &Path) -> io::Result<Option<File>> {
    let file =
        File::options().read(true).write(true).create(true).truncate(false).open(dir.join(LOCK_FILE))?;
    match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(Some(file)),
        Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
        Err(errno) => Err(errno.into()),
    }
}
