//! Writable places for tasks on top of image layers.
//!
//! ```text
//! ROOT/<task>/upper/  work/  merged/   what overlayfs needs; the shim mounts it
//! ROOT/<task>/layers.json              the layers below, so that collection knows after a restart
//! ```
//!
//! Nothing is flushed: a snapshot serves one task, and no task outlives a power cut.

mod error;
mod id;
mod store;

pub use error::SnapshotError;
pub use id::check_task_id;
pub use store::{Snapshot, SnapshotStore};
