//! Making, finding and removing snapshots.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::path::{Path, PathBuf};

use kogge_model::digest::Digest;
use serde::{Deserialize, Serialize};

use super::error::SnapshotError;
use super::id::check_task_id;
use crate::image::Image;
use crate::workers::Workers;
use crate::{durable, tree};

const LAYERS_FILE: &str = "layers.json";

/// The snapshots of one cloud on this machine. Clones share the directory.
#[derive(Debug, Clone)]
pub struct SnapshotStore {
    root: PathBuf,
    workers: Workers,
}

/// What the shim needs to mount the files of one task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    /// Image layers, topmost first.
    pub lower: Vec<PathBuf>,
    /// The same layers by their digests, for [`crate::image::Keep::layers`].
    pub layers: Vec<Digest>,
    /// Takes the writes.
    pub upper: PathBuf,
    /// overlayfs's own.
    pub work: PathBuf,
    /// Where it is mounted.
    pub merged: PathBuf,
}

impl SnapshotStore {
    /// Opens the snapshots in `root`, making it if need be. Blocking, for the start of the process.
    ///
    /// # Errors
    /// When the directory cannot be used.
    pub fn open(root: &Path, workers: Workers) -> Result<Self, SnapshotError> {
        fs::create_dir_all(root).map_err(SnapshotError::io("make", root))?;
        durable::close_to_others(root).map_err(SnapshotError::io("close to others", root))?;
        let store = Self { root: root.to_path_buf(), workers };
        for name in store.names()? {
            if durable::is_unfinished(name.as_ref()) {
                let path = store.root.join(name);
                tree::remove(&path).map_err(SnapshotError::io("remove", &path))?;
            }
        }
        Ok(store)
    }

    /// Makes the snapshot of task `id` over `image`. Keep the image until this has returned: from then on
    /// [`SnapshotStore::layers_in_use`] speaks for its layers.
    ///
    /// # Errors
    /// When the task has one already, or the disk refuses.
    pub async fn prepare(&self, id: &str, image: &Image) -> Result<Snapshot, SnapshotError> {
        check_task_id(id)?;
        let (store, id) = (self.clone(), id.to_owned());
        let (lower, layers) = (image.lower.clone(), image.layers.clone());
        self.workers.run(move || store.make(&id, lower, layers)).await
    }

    fn make(
        &self,
        id: &str,
        mut lower: Vec<PathBuf>,
        layers: Vec<Digest>,
    ) -> Result<Snapshot, SnapshotError> {
        let dir = self.root.join(id);
        if dir.exists() {
            return Err(SnapshotError::Exists { id: id.to_owned() });
        }
        if lower.is_empty() {
            // An image without layers is valid; overlayfs wants at least one directory below.
            let empty = self.root.join(".empty");
            fs::create_dir_all(&empty).map_err(SnapshotError::io("make", &empty))?;
            lower.push(empty);
        }
        let snapshot = Snapshot {
            lower,
            layers,
            upper: dir.join("upper"),
            work: dir.join("work"),
            merged: dir.join("merged"),
        };
        let tmp = self.root.join(durable::unfinished_name("snapshot"));
        let filled = fill(&tmp, &snapshot).and_then(|()| fs::rename(&tmp, &dir));
        filled.map_err(|error| {
            let _ = tree::remove(&tmp);
            match error.kind() {
                io::ErrorKind::StorageFull => SnapshotError::NoSpace { id: id.to_owned() },
                _ => SnapshotError::io("make", &dir)(error),
            }
        })?;
        Ok(snapshot)
    }

    /// The snapshot of task `id`, if there is one.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn find(&self, id: &str) -> Result<Option<Snapshot>, SnapshotError> {
        check_task_id(id)?;
        let path = self.root.join(id).join(LAYERS_FILE);
        match fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes)
                .map(Some)
                .map_err(|error| SnapshotError::io("understand", &path)(io::Error::other(error))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(SnapshotError::io("read", &path)(error)),
        }
    }

    /// The layers below every snapshot there is: what collection of images must keep.
    ///
    /// # Errors
    /// When one cannot be read; then nothing should be collected.
    pub async fn layers_in_use(&self) -> Result<BTreeSet<Digest>, SnapshotError> {
        let store = self.clone();
        self.workers
            .run(move || {
                let mut layers = BTreeSet::new();
                for id in store.ids()? {
                    layers.extend(store.find(&id)?.into_iter().flat_map(|snapshot| snapshot.layers));
                }
                Ok(layers)
            })
            .await
    }

    /// Removes the snapshot of task `id`; none is fine. The task's processes and mounts must be gone.
    ///
    /// # Errors
    /// When something in it cannot be removed.
    pub async fn remove(&self, id: &str) -> Result<(), SnapshotError> {
        check_task_id(id)?;
        let (store, id) = (self.clone(), id.to_owned());
        self.workers.run(move || store.take_away(&id)).await
    }

    fn take_away(&self, id: &str) -> Result<(), SnapshotError> {
        let (dir, grave) = (self.root.join(id), self.root.join(durable::unfinished_name("gone")));
        match fs::rename(&dir, &grave) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            other => other.map_err(SnapshotError::io("remove", &dir))?,
        }
        tree::remove(&grave).map_err(SnapshotError::io("remove", &dir))
    }

    /// Removes every snapshot that is not of a task in `live`, and returns whose they were.
    ///
    /// # Errors
    /// When one cannot be removed; the others are.
    pub async fn sweep(&self, live: BTreeSet<String>) -> Result<Vec<String>, SnapshotError> {
        let store = self.clone();
        self.workers
            .run(move || {
                let mut result = Ok(());
                let mut gone = Vec::new();
                for id in store.ids()?.into_iter().filter(|id| !live.contains(id)) {
                    match store.take_away(&id) {
                        Ok(()) => gone.push(id),
                        Err(error) => result = Err(error),
                    }
                }
                result.map(|()| gone)
            })
            .await
    }

    fn ids(&self) -> Result<Vec<String>, SnapshotError> {
        Ok(self.names()?.into_iter().filter(|name| check_task_id(name).is_ok()).collect())
    }

    fn names(&self) -> Result<Vec<String>, SnapshotError> {
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.root).map_err(SnapshotError::io("list", &self.root))? {
            let entry = entry.map_err(SnapshotError::io("list", &self.root))?;
            names.extend(entry.file_name().into_string());
        }
        names.sort();
        Ok(names)
    }
}

fn fill(dir: &Path, snapshot: &Snapshot) -> io::Result<()> {
    for name in ["upper", "work", "merged"] {
        fs::create_dir_all(dir.join(name))?;
    }
    // The merged root takes owner and mode from the upper directory, not from the image.
    let top = fs::metadata(&snapshot.lower[0])?;
    let upper = dir.join("upper");
    chown(&upper, Some(top.uid()), Some(top.gid()))?;
    fs::set_permissions(&upper, fs::Permissions::from_mode(top.mode() & 0o7777))?;
    fs::write(dir.join(LAYERS_FILE), serde_json::to_vec(snapshot).expect("a snapshot is plain data"))
}
