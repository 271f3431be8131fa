//! Starting a shim.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use rustix::fs::FlockOperation;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use super::recover::{LOOK_EVERY, destroy};
use super::{Client, ShimProgram};
use crate::cgroup;
use crate::protocol::{Answer, AnswerLine, LOCK_FILE, Pong, TALK_FILE};

/// How long the directory may seem to be taken.
const LOCK_PATIENCE: Duration = Duration::from_millis(500);

/// A task that was started.
#[derive(Debug)]
pub struct Started {
    /// Its supervisor.
    pub client: Client,
    /// Who it is, with its process ids.
    pub pong: Pong,
}

/// Why a task was not started. Nothing of it is left but its directory.
#[derive(Debug, thiserror::Error)]
pub enum SpawnError {
    /// A shim holds the directory.
    #[error("{dir} has a supervisor already", dir = dir.display())]
    Taken {
        /// Which.
        dir: PathBuf,
    },
    /// The process could not be started.
    #[error("cannot start the task's supervisor")]
    Start(#[source] io::Error),
    /// The shim said why not.
    #[error("{0}")]
    Refused(String),
    /// The shim ended without a word.
    #[error("the task's supervisor ended at once: {talk}")]
    Died {
        /// The end of its `shim.log`.
        talk: String,
    },
    /// It took too long.
    #[error("the task was not started within {} s", .0.as_secs())]
    TimedOut(Duration),
}

/// Starts the shim of `dir`, which holds `shim.json`, and waits until the task's program runs.
///
/// # Errors
/// See [`SpawnError`].
pub async fn spawn(program: &ShimProgram, dir: &Path, deadline: Duration) -> Result<Started, SpawnError> {
    expect_start();
    let lock = take_lock(dir).await?;
    let mut child = start(program, dir, lock)?;
    let answer = tokio::time::timeout(deadline, first_answer(&mut child)).await;
    let failed = match answer {
        Ok(Ok(Some(Answer::Pong(pong)))) => {
            return Ok(Started { client: Client::new(dir), pong });
        }
        Ok(Ok(Some(Answer::Failed(failure)))) => SpawnError::Refused(failure.text),
        Ok(Ok(_)) => SpawnError::Died { talk: last_talk(dir) },
        Ok(Err(error)) => SpawnError::Start(error),
        Err(_) => SpawnError::TimedOut(deadline),
    };
    let _ = child.start_kill();
    let _ = child.wait().await;
    // A shim that fails cleans up after itself; one that was killed or died could not.
    if !matches!(failed, SpawnError::Refused(_)) {
        let _ = destroy(dir).await;
    }
    Err(failed)
}

/// Says that a task is about to be started: what the kernel needs time for is begun, and passes while the rest is made
/// ready. Must be called inside a tokio runtime.
pub fn expect_start() {
    cgroup::begin_pause();
}

/// Locks the directory for the shim. A process that is being started beside this one holds copies of all
/// descriptors for a moment, also of a lock that was given up.
async fn take_lock(dir: &Path) -> Result<File, SpawnError> {
    let lock = create(dir, LOCK_FILE).map_err(SpawnError::Start)?;
    let deadline = Instant::now() + LOCK_PATIENCE;
    while rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive).is_err() {
        if Instant::now() >= deadline {
            return Err(SpawnError::Taken { dir: dir.to_owned() });
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
    Ok(lock)
}

fn start(program: &ShimProgram, dir: &Path, lock: File) -> Result<Child, SpawnError> {
    let talk = create(dir, TALK_FILE).map_err(SpawnError::Start)?;
    Command::new(program.path())
        .arg0("kogge")
        .arg("shim")
        .arg(dir)
        .env_clear()
        .current_dir("/")
        .stdin(Stdio::from(lock))
        .stdout(Stdio::piped())
        .stderr(Stdio::from(talk))
        .spawn()
        .map_err(SpawnError::Start)
}

fn create(dir: &Path, name: &str) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(dir.join(name))
}

async fn first_answer(child: &mut Child) -> io::Result<Option<Answer>> {
    let stdout = child.stdout.take().expect("the child was started with a pipe");
    let mut line = String::new();
    BufReader::new(stdout).read_line(&mut line).await?;
    if line.is_empty() {
        return Ok(None);
    }
    Ok(Some(serde_json::from_str::<AnswerLine>(&line)?.answer))
}

fn last_talk(dir: &Path) -> String {
    let text = std::fs::read(dir.join(TALK_FILE)).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let line = text.lines().rev().find(|line| !line.trim().is_empty());
    line.unwrap_or("it said nothing").to_owned()
}
