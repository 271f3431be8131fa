//! What nobody remembers is cleared away at the start, before anything new can be mistaken for it.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::Path;
use std::time::Duration;

use kogge_containers::network::NetworkError;
use kogge_containers::snapshot::SnapshotError;
use kogge_model::id::TaskId;
use kogge_shim::cgroup::Cgroup;
use thiserror::Error;

use super::Machine;
use crate::sentence;

/// How long the processes of an orphan may take to die.
const PATIENCE: Duration = Duration::from_secs(5);

/// Why orphans could not be looked for.
#[derive(Debug, Error)]
pub enum SweepError {
    /// The containers' directory.
    #[error("cannot read {}", path.display())]
    Read {
        /// Which.
        path: std::path::PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Networks.
    #[error("cannot clear away networks of an earlier run")]
    Network(#[from] NetworkError),
    /// Snapshots.
    #[error("cannot clear away file systems of an earlier run")]
    Snapshot(#[from] SnapshotError),
}

impl Machine {
    /// Removes every container, cgroup, network and snapshot whose task is not among `known`, and those that only
    /// ended tasks (not in `living`) still hold.
    pub(crate) async fn sweep(
        &self,
        known: &BTreeSet<TaskId>,
        living: &BTreeSet<TaskId>,
    ) -> Result<(), SweepError> {
        let containers = &self.dirs.containers;
        fs::create_dir_all(containers)
            .map_err(|source| SweepError::Read { path: containers.clone(), source })?;
        for task in children(containers)?.iter().map(TaskId::new).filter(|task| !known.contains(task)) {
            tracing::warn!(%task, "clearing away a container that nobody remembers");
            if let Err(error) = self.remove(&task).await {
                tracing::error!(%task, error = sentence::of(&error), "a container that nobody remembers stays");
            }
        }
        let names: BTreeSet<String> = living.iter().map(ToString::to_string).collect();
        self.sweep_cgroups(&names);
        self.network.sweep(&names).await?;
        self.snapshots.sweep(names).await?;
        Ok(())
    }

    /// Kills what runs in cgroups of tasks that are not `living`.
    fn sweep_cgroups(&self, living: &BTreeSet<String>) {
        let Ok(parent) = Cgroup::locate(&self.cgroup_parent()) else { return };
        let of_tasks: BTreeSet<String> =
            parent.directories().iter().flat_map(|dir| children(dir).unwrap_or_default()).collect();
        for name in of_tasks.difference(living) {
            let removed =
                Cgroup::locate(&self.cgroup_parent().join(name)).and_then(|one| one.remove(PATIENCE));
            match removed {
                Ok(()) => tracing::warn!(task = %name, "cleared away a cgroup that nobody remembers"),
                Err(error) => tracing::error!(task = %name, %error, "a cgroup that nobody remembers stays"),
            }
        }
    }

    /// Removes what this cloud has on the machine beside its data. All tasks must have been released.
    pub(crate) async fn tear_down(&self) {
        if let Err(error) = self.network.destroy().await {
            tracing::error!(error = sentence::of(&error), "the cloud's network stays");
        }
        match Cgroup::locate(&self.cgroup_parent()).and_then(|parent| parent.remove(PATIENCE)) {
            Ok(()) => {}
            Err(error) => tracing::error!(%error, "the cloud's cgroups stay"),
        }
        match fs::remove_dir_all(&self.dirs.runtime) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tracing::error!(%error, dir = %self.dirs.runtime.display(), "the runtime directory stays");
            }
            _ => {}
        }
    }
}

/// Names of the directories in `dir`; none if it is not there.
fn children(dir: &Path) -> Result<Vec<String>, SweepError> {
    let failed = |source| SweepError::Read { path: dir.to_owned(), source };
    let entries = match fs::read_dir(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other.map_err(failed)?,
    };
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry.map_err(failed)?;
        if entry.file_type().map_err(failed)?.is_dir() {
            names.extend(entry.file_name().into_string());
        }
    }
    Ok(names)
}
