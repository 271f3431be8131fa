//! Names of images: each record says which manifest a name stands for.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use kogge_model::digest::Digest;
use kogge_model::time::Timestamp;
use serde::{Deserialize, Serialize};

use super::error::ImageError;
use super::reference::Reference;
use crate::durable;

/// One name in the store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageRecord {
    /// Normalised.
    pub reference: Reference,
    /// The manifest it stands for now.
    pub manifest: Digest,
    /// When this name began to stand for this manifest.
    pub created_at: Timestamp,
    /// Bytes of the manifest, the config and the packed layers.
    pub size_bytes: u64,
    /// `linux/amd64`.
    pub platform: String,
    /// People asked to keep it: collection leaves it alone.
    pub is_pinned: bool,
}

/// The records of one store: one file a name.
#[derive(Debug, Clone)]
pub(crate) struct Records {
    dir: PathBuf,
}

impl Records {
    pub(crate) fn open(root: &Path) -> Result<Self, ImageError> {
        let dir = root.join("records");
        fs::create_dir_all(&dir).map_err(ImageError::io("make", &dir))?;
        Ok(Self { dir })
    }

    /// Names have characters that file names have not: the digest of the name is the file's name.
    fn path(&self, reference: &Reference) -> PathBuf {
        self.dir.join(format!("{}.json", Digest::of(reference.to_string().as_bytes()).hex()))
    }

    pub(crate) fn put(&self, record: &ImageRecord) -> Result<(), ImageError> {
        let path = self.path(&record.reference);
        let bytes = serde_json::to_vec_pretty(record).expect("a record is plain data");
        durable::write_file(&path, &bytes).map_err(ImageError::io("write", &path))
    }

    pub(crate) fn get(&self, reference: &Reference) -> Result<Option<ImageRecord>, ImageError> {
        let path = self.path(reference);
        match fs::read(&path) {
            Ok(bytes) => parse(&path, &bytes).map(Some),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(ImageError::io("read", &path)(error)),
        }
    }

    pub(crate) fn remove(&self, reference: &Reference) -> Result<bool, ImageError> {
        let path = self.path(reference);
        match fs::remove_file(&path) {
            Ok(()) => durable::sync_dir(&self.dir).map_err(ImageError::io("flush", &self.dir)).map(|()| true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(ImageError::io("remove", &path)(error)),
        }
    }

    /// All records by name; one that cannot be read is an error, since its image would be collected.
    pub(crate) fn list(&self) -> Result<Vec<ImageRecord>, ImageError> {
        let mut records = Vec::new();
        for entry in fs::read_dir(&self.dir).map_err(ImageError::io("list", &self.dir))? {
            let path = entry.map_err(ImageError::io("list", &self.dir))?.path();
            if path.file_name().is_some_and(durable::is_unfinished) {
                continue;
            }
            match fs::read(&path) {
                Ok(bytes) => records.push(parse(&path, &bytes)?),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(ImageError::io("read", &path)(error)),
            }
        }
        records.sort_by(|a: &ImageRecord, b| a.reference.cmp(&b.reference));
        Ok(records)
    }

    /// Notes that the image was used; only collection cares, so it need not survive a crash.
    pub(crate) fn touch(&self, reference: &Reference) {
        if let Ok(file) = fs::File::options().append(true).open(self.path(reference)) {
            let _ = file.set_modified(SystemTime::now());
        }
    }

    /// When it was last used, as far as is known.
    pub(crate) fn used_at(&self, reference: &Reference) -> SystemTime {
        fs::metadata(self.path(reference)).and_then(|meta| meta.modified()).unwrap_or(SystemTime::UNIX_EPOCH)
    }

    /// Removes what a crash left half-written.
    pub(crate) fn sweep(&self) -> Result<(), ImageError> {
        for entry in fs::read_dir(&self.dir).map_err(ImageError::io("list", &self.dir))? {
            let path = entry.map_err(ImageError::io("list", &self.dir))?.path();
            if path.file_name().is_some_and(durable::is_unfinished) {
                fs::remove_file(&path).map_err(ImageError::io("remove", &path))?;
            }
        }
        Ok(())
    }
}

fn parse(path: &Path, bytes: &[u8]) -> Result<ImageRecord, ImageError> {
    serde_json::from_slice(bytes)
        .map_err(|error| ImageError::malformed(format!("record {}", path.display()), error))
}
