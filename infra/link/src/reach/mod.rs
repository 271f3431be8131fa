//! Reaching into tasks: a server asks through the agent's session, the agent answers on a connection of its own.
//!
//! ```text
//!  server                                            agent
//!    │── session: Call { id, wish } ──────────────────▶│
//!    │◀──────── new connection: Reach { claim: id } ───│── TaskDoor::{logs, exec, stats}
//!    │◀═ pieces, one way or both, as fast as both go ═▶│
//! ```
//!
//! Each answer has its own connection, so a slow reader of logs holds up nothing but itself.

mod exec;
mod log;
mod wish;

use futures_util::future::BoxFuture;
use kogge_model::id::TaskId;
use kogge_model::reason::Reason;
use kogge_model::view::exec::ExecRequest;

pub use exec::ExecLine;
pub(crate) use exec::{read_frames, write_frames};
pub use log::{LogBatches, LogContent, LogEntry, LogWish};
pub(crate) use log::{decode_batch, encode_batch};
pub(crate) use wish::Wish;

/// The tasks of one agent, as a server may reach into them. Supplied by the agent.
pub trait TaskDoor: Send + Sync {
    /// Captured lines of `tasks`, merged by time. Ends when there are no more, or never when following.
    fn logs(&self, tasks: Vec<TaskId>, wish: LogWish) -> BoxFuture<'_, Result<LogBatches, Reason>>;
    /// Runs a program inside a running task. Dropping both ends of its line kills it.
    fn exec(&self, task: TaskId, request: ExecRequest) -> BoxFuture<'_, Result<ExecLine, Reason>>;
    /// What a running task uses now, as its supervisor tells it.
    fn stats(&self, task: TaskId) -> BoxFuture<'_, Result<serde_json::Value, Reason>>;
}
