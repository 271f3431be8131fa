//! The shim's promise: what is said over `shim.sock`. An old shim must understand a new agent.
//!
//! A stream socket, one JSON object a line, one request at a time on a connection, each answered by one line
//! (`exec` by two). Every line carries the version `v` of who wrote it.
//!
//! ```text
//! ▶ {"v":1,"request":{"kill":{"signal":15,"scope":"init"}}}     ◀ {"v":1,"answer":"done"}
//! ▶ {"v":1,"request":{"freeze_time":{}}}       ◀ {"v":1,"answer":{"failed":{"kind":"unknown_request","text":"…"}}}
//! ```
//!
//! Rules of change: fields are only added, with a default; requests and answers are only added; what is not
//! understood is answered with [`Fault::UnknownRequest`], never by silence and never by death.

mod answer;
mod ended;
mod request;
mod stats;

pub use answer::{Answer, AnswerLine, ExecEnded, ExecStarted, Failure, Fault, Pong};
pub use ended::EndedTask;
pub use request::{ExecRequest, KillScope, LimitChange, Request, RequestLine, User, WindowSize};
pub use stats::TaskStats;

/// The version this code speaks.
pub const PROTOCOL_VERSION: u32 = 1;

/// The longest request or answer line, in bytes; an environment has to fit.
pub const MAX_LINE_BYTES: usize = 256 * 1024;

/// The socket's name in a shim's directory.
pub(crate) const SOCKET_FILE: &str = "shim.sock";

/// Locked (flock) for as long as the shim lives; its spawner locks it and hands the lock down.
pub(crate) const LOCK_FILE: &str = "shim.lock";

/// Written once, when the task has ended.
pub(crate) const ENDED_FILE: &str = "exit.json";

/// What a shim had to say outside the protocol.
pub(crate) const TALK_FILE: &str = "shim.log";

/// The segments of the captured output.
pub(crate) const LOG_DIR: &str = "log";
