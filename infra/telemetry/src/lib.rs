//! Log segments: read, follow, merge.
//!
//! Owns the reading side of what shims write (the record format stands in [`kogge_model::log_record`], the
//! segments are `00000001.log`, `00000002.log`, … in one directory a task). Refuses to know tasks and shims: a
//! log is a directory.
//!
//! ```text
//!  segments ──▶ LogReader ─┐
//!  segments ──▶ LogReader ─┼─▶ MergedLogs ──▶ batches in order of time
//!  segments ──▶ LogReader ─┘        ▲
//!                         inotify ──┴─ LogFollower
//! ```
//!
//! Segments may be removed at any time, also while they are read. What is missed is told as a
//! [`LogEntry::Gap`] with its exact size, since each segment's head counts what came before it.
//!
//! Start reading at [`reader`].

mod entry;
mod follow;
mod merge;
pub mod reader;
mod segment;

pub use entry::LogEntry;
pub use follow::LogFollower;
pub use merge::{MergedLogs, SourcedEntry};
pub use reader::{LogReader, LogStart};
