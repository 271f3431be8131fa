//! What a client asks of a shim.

use std::path::PathBuf;

use kogge_model::resources::{Bytes, CpuMillis};
use serde::{Deserialize, Serialize};

use super::PROTOCOL_VERSION;

/// One request as it goes over the wire.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestLine {
    /// The client's [`PROTOCOL_VERSION`].
    pub v: u32,
    /// What it wants.
    pub request: Request,
}

impl RequestLine {
    /// `request` in this code's version.
    #[must_use]
    pub const fn new(request: Request) -> Self {
        Self { v: PROTOCOL_VERSION, request }
    }
}

/// What a client may ask.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Request {
    /// Is the task there? Answered by `pong`.
    Ping,
    /// Answered by `ended` once the task has ended, or by `failed` after the time.
    Wait {
        /// How long to wait at most; none is for ever.
        #[serde(default)]
        timeout_ms: Option<u64>,
    },
    /// Sends a signal. Answered by `done`.
    Kill {
        /// Its number.
        signal: i32,
        /// To whom.
        scope: KillScope,
    },
    /// Freezes every process of the task.
    Pause,
    /// Thaws them.
    Resume,
    /// A single-copy task may live until then. Answered by `done`, or by `failed` when its end has begun.
    Renew {
        /// In ms since the machine was started; see [`crate::config::LeaseTerms`].
        until_ms: u64,
    },
    /// Answered by `stats`.
    Stats,
    /// Changes limits of the running task.
    Update(LimitChange),
    /// Runs one more process in the container. Answered by `exec_started`, later by `exec_ended`.
    Exec(ExecRequest),
    /// Removes what the runtime keeps, the cgroup and the mounts; then the shim ends.
    Delete {
        /// Whether a task that still runs is killed first; else it is an error.
        is_forced: bool,
    },
}

/// Whom a signal reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KillScope {
    /// The container's first process.
    Init,
    /// Every process of the container.
    All,
    /// The process of one exec, by its id.
    Exec(u64),
}

/// New limits; what is none stays as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct LimitChange {
    /// Memory; swap is not granted on top.
    pub mem_bytes: Option<Bytes>,
    /// Both the ceiling and the share under pressure.
    pub cpu_millis: Option<CpuMillis>,
    /// Processes and threads.
    pub pids: Option<u32>,
}

/// One more process in a container. It gets the capabilities, the seccomp profile, the `no_new_privs` flag and
/// the resource limits of the container's first process.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ExecRequest {
    /// Program and arguments.
    pub args: Vec<String>,
    /// On top of the first process's environment, `NAME=value`.
    pub env: Vec<String>,
    /// The first process's when none.
    pub cwd: Option<PathBuf>,
    /// The first process's when none.
    pub user: Option<User>,
    /// A terminal of this size: its master end comes with the answer. Without one, the client sends three
    /// file descriptors with the request, which become standard input, output and error.
    pub terminal: Option<WindowSize>,
    /// Whether the process goes on when its client's connection closes; else it is killed then.
    pub is_detached: bool,
}

/// Numeric, as inside the container.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct User {
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
    /// Further groups.
    #[serde(default)]
    pub additional_gids: Vec<u32>,
}

/// A terminal's size in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct WindowSize {
    /// Lines.
    pub rows: u16,
    /// Characters a line.
    pub columns: u16,
}
