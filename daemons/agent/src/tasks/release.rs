//! Giving back what an ended task held, and removing what is left of it.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use kogge_containers::network::NetworkError;
use kogge_containers::snapshot::SnapshotError;
use kogge_host::backoff::Backoff;
use kogge_model::id::TaskId;
use kogge_node::Input;
use kogge_shim::client::{self, CleanupError};
use thiserror::Error;

use super::Machine;
use crate::sentence;

/// Tries before it is left to the sweep at the next start.
const TRIES: u32 = 6;

/// What a task did not give back.
#[derive(Debug, Error)]
pub(crate) enum ReleaseError {
    #[error(transparent)]
    Shim(#[from] CleanupError),
    #[error(transparent)]
    Network(#[from] NetworkError),
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    #[error("cannot remove its directory")]
    Directory(#[source] io::Error),
}

/// How much of a task goes.
#[derive(Debug, Clone, Copy)]
enum Extent {
    /// Network, mounts, cgroup and ports; its logs stay.
    Held,
    /// Everything.
    All,
}

impl Machine {
    /// Gives back network, mounts, cgroup and ports; its logs stay.
    pub(crate) async fn release(self: Arc<Self>, task: TaskId) {
        self.clear(&task, Extent::Held).await;
    }

    /// Removes everything.
    pub(super) async fn collect(self: Arc<Self>, task: TaskId) {
        if self.clear(&task, Extent::All).await {
            self.mailbox.tell(Input::Collected { task }).await;
        }
    }

    /// Tries until it works, within reason; tells whether it did.
    async fn clear(&self, task: &TaskId, extent: Extent) -> bool {
        let _place = self.releases.acquire().await;
        let _alone = self.alone(task).await;
        let mut backoff = Backoff::new(Duration::from_millis(50), Duration::from_secs(2));
        for _ in 0..TRIES {
            let cleared = match extent {
                Extent::Held => self.give_back(task).await,
                Extent::All => self.remove(task).await,
            };
            let Err(error) = cleared else { return true };
            tracing::warn!(%task, ?extent, error = sentence::of(&error), "cannot clear a task away yet");
            tokio::time::sleep(backoff.wait()).await;
        }
        tracing::error!(%task, ?extent, "a task is not cleared away before the next start of the agent");
        false
    }

    /// One try. What was given back already is no error.
    pub(super) async fn give_back(&self, task: &TaskId) -> Result<(), ReleaseError> {
        let dirs = self.of(task);
        if dirs.shim.join("shim.json").exists() {
            client::destroy(&dirs.shim).await?;
        }
        self.network.detach(task.as_str()).await?;
        self.ports.give_back(task);
        self.snapshots.remove(task.as_str()).await?;
        remove_dir(&dirs.files).await
    }

    pub(super) async fn remove(&self, task: &TaskId) -> Result<(), ReleaseError> {
        self.give_back(task).await?;
        remove_dir(&self.of(task).shim).await
    }
}

async fn remove_dir(dir: &std::path::Path) -> Result<(), ReleaseError> {
    match tokio::fs::remove_dir_all(dir).await {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(ReleaseError::Directory(error)),
        _ => Ok(()),
    }
}
