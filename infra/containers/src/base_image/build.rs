//! Running `mmdebstrap` and keeping what it makes.

use std::io::Read;
use std::path::Path;
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustix::process::{Pid, Signal};
use tokio::io::{AsyncBufReadExt as _, AsyncRead, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::mpsc;

use super::command::BaseImageSpec;
use super::error::BaseImageError;
use crate::image::{ImageRecord, ImageStore};
use crate::{durable, tree};

/// A slow mirror needs minutes; an hour means that nobody answers.
const MINUTES: u64 = 60;

/// Makes the base image `spec` and stores it under its name, pinned. `scratch` holds the new system while it is
/// made, and must not be mounted `nodev`. Each line that `mmdebstrap` says goes to `progress`; when the receiver
/// is slow, the build waits, when it is gone, the lines are dropped.
///
/// # Errors
/// When `mmdebstrap` is missing or fails, or the result cannot be stored; then no name is given.
pub async fn build_base(
    store: &ImageStore,
    spec: &BaseImageSpec,
    scratch: &Path,
    progress: mpsc::Sender<String>,
) -> Result<ImageRecord, BaseImageError> {
    let arguments = spec.arguments()?;
    let dir = Scratch::make(scratch)?;
    let mut child = start(&arguments, &dir.path)?;
    let group = Group::of(&child);
    let stdout = child.stdout.take().expect("its output is a pipe");
    let stderr = child.stderr.take().expect("its errors are a pipe");
    let build = async {
        let pipe = Pipe { source: Box::pin(stdout), runtime: tokio::runtime::Handle::current() };
        let storing = store.import_layer(
            Whole { pipe, group: group.clone(), child },
            spec.config(),
            spec.name.clone(),
            true,
        );
        let (stored, complaint) = tokio::join!(storing, relay(stderr, progress));
        (stored, complaint)
    };
    let ended = tokio::time::timeout(Duration::from_secs(MINUTES * 60), build).await;
    let (stored, complaint) = ended.map_err(|_| BaseImageError::TooSlow { minutes: MINUTES })?;
    stored.map_err(|source| match complaint {
        Some(message) => BaseImageError::Failed { message },
        None => source.into(),
    })
}

fn start(arguments: &[String], scratch: &Path) -> Result<Child, BaseImageError> {
    let mut command = Command::new("mmdebstrap");
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.env("TMPDIR", scratch).env("LC_ALL", "C.UTF-8").env("DEBIAN_FRONTEND", "noninteractive");
    // A group of its own, so that an interrupt at the terminal does not tear it apart half-way.
    command.process_group(0).kill_on_drop(true);
    command.spawn().map_err(|source| match source.kind() {
        std::io::ErrorKind::NotFound => BaseImageError::NoProgram { source },
        _ => BaseImageError::Run { source },
    })
}

/// Passes lines on; returns the last error among them.
async fn relay(source: impl AsyncRead + Unpin, progress: mpsc::Sender<String>) -> Option<String> {
    let mut lines = BufReader::new(source).lines();
    let mut complaint = None;
    while let Ok(Some(line)) = lines.next_line().await {
        let line = line.trim_end().to_owned();
        if let Some(error) = line.strip_prefix("E: ") {
            complaint = Some(error.to_owned());
        }
        if !line.is_empty() {
            let _ = progress.send(line).await;
        }
    }
    complaint
}

/// The tar stream, which is whole only if the program ended well: a stream that was cut off between two files
/// would look complete otherwise.
struct Whole {
    pipe: Pipe,
    group: Group,
    child: Child,
}

struct Pipe {
    source: std::pin::Pin<Box<dyn AsyncRead + Send>>,
    runtime: tokio::runtime::Handle,
}

impl Read for Whole {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let runtime = self.pipe.runtime.clone();
        let n = runtime.block_on(tokio::io::AsyncReadExt::read(&mut self.pipe.source, buffer))?;
        if n == 0 && !buffer.is_empty() {
            self.group.take();
            let status = runtime.block_on(self.child.wait())?;
            if !status.success() {
                return Err(std::io::Error::other(format!("mmdebstrap ended with {status}")));
            }
        }
        Ok(n)
    }
}

/// The program and its children. A build that is given up takes them along; they clear up on SIGTERM.
#[derive(Clone)]
struct Group {
    /// Emptied before the leader is waited for: afterwards its id may be someone else's.
    leader: Arc<Mutex<Option<Pid>>>,
}

impl Group {
    fn of(child: &Child) -> Self {
        let leader = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        Self { leader: Arc::new(Mutex::new(leader)) }
    }

    fn take(&self) -> Option<Pid> {
        self.leader.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let mut leader = self.leader.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(leader) = leader.take() {
            let _ = rustix::process::kill_process_group(leader, Signal::TERM);
        }
    }
}

/// A directory of its own for one build.
struct Scratch {
    path: std::path::PathBuf,
}

impl Scratch {
    fn make(parent: &Path) -> Result<Self, BaseImageError> {
        let path = parent.join(durable::unfinished_name("base"));
        std::fs::create_dir_all(&path).map_err(|source| BaseImageError::Run { source })?;
        Ok(Self { path })
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Err(error) = tree::remove(&self.path) {
            tracing::warn!(path = %self.path.display(), %error, "could not remove what a base image was made in");
        }
    }
}
