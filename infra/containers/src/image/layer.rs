//! Unpacked layers, each once, named by the digest of its unpacked content.
//!
//! ```text
//! layers/sha256-<diffID>/       the files, whiteouts as overlayfs wants them
//! layers/sha256-<diffID>.json   what unpacking came to, written before the directory gets its name
//! ```

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use kogge_model::digest::Digest;

use super::blob::check;
use super::compression::{HashingReader, unpacked};
use super::error::ImageError;
use super::limits::Limits;
use super::unpack::{LayerSummary, unpack};
use crate::{durable, tree};

/// The unpacked layers of one store.
#[derive(Debug)]
pub(crate) struct LayerStore {
    layers: PathBuf,
    unfinished: PathBuf,
    /// One lock a layer: two loads that meet share the work of the first.
    unpacking: Mutex<BTreeMap<Digest, Arc<Mutex<()>>>>,
}

impl LayerStore {
    pub(crate) fn open(root: &Path, unfinished: &Path) -> Result<Self, ImageError> {
        let layers = root.join("layers");
        fs::create_dir_all(&layers).map_err(ImageError::io("make", &layers))?;
        Ok(Self { layers, unfinished: unfinished.to_path_buf(), unpacking: Mutex::default() })
    }

    pub(crate) fn path(&self, diff_id: &Digest) -> PathBuf {
        self.layers.join(format!("sha256-{}", diff_id.hex()))
    }

    fn summary_path(&self, diff_id: &Digest) -> PathBuf {
        self.layers.join(format!("sha256-{}.json", diff_id.hex()))
    }

    /// Unpacks the packed stream that `open` gives, unless the layer is here already.
    pub(crate) fn ensure<R: Read>(
        &self,
        diff_id: &Digest,
        limits: &Limits,
        open: impl FnOnce() -> Result<R, ImageError>,
    ) -> Result<(), ImageError> {
        let lock = {
            let mut unpacking = self.unpacking.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(unpacking.entry(*diff_id).or_default())
        };
        let result = {
            let _alone = lock.lock().unwrap_or_else(PoisonError::into_inner);
            if self.path(diff_id).is_dir() {
                Ok(())
            } else {
                open().and_then(|blob| self.unpack(diff_id, limits, blob))
            }
        };
        let mut unpacking = self.unpacking.lock().unwrap_or_else(PoisonError::into_inner);
        // Two handles are left when nobody else waits: the map's and ours.
        if Arc::strong_count(&lock) == 2 {
            unpacking.remove(diff_id);
        }
        result
    }

    fn unpack(&self, diff_id: &Digest, limits: &Limits, blob: impl Read) -> Result<(), ImageError> {
        let tmp = self.unfinished.join(durable::unfinished_name("layer"));
        fs::create_dir(&tmp).map_err(ImageError::io("make", &tmp))?;
        let result = self.unpack_into(&tmp, diff_id, limits, blob);
        if result.is_err() {
            let _ = tree::remove(&tmp);
        }
        result
    }

    fn unpack_into(
        &self,
        tmp: &Path,
        diff_id: &Digest,
        limits: &Limits,
        blob: impl Read,
    ) -> Result<(), ImageError> {
        let what = format!("layer {diff_id}");
        rustix::fs::chmod(tmp, rustix::fs::Mode::from_raw_mode(0o755))
            .map_err(|errno| ImageError::io("set the mode of", tmp)(errno.into()))?;
        let source = HashingReader::new(unpacked(blob, limits, &what)?);
        let (summary, source) = unpack(source, tmp, limits, &what)?;
        check(&what, Some(diff_id), &source.finish(&what)?)?;
        if summary.skipped_devices > 0 {
            tracing::debug!(layer = %diff_id, devices = summary.skipped_devices, "left out device nodes");
        }
        let summary_path = self.summary_path(diff_id);
        let bytes = serde_json::to_vec(&summary).expect("a summary is plain data");
        durable::write_file(&summary_path, &bytes).map_err(ImageError::io("write", &summary_path))?;
        // The name is the promise that everything below is whole: flush before giving it.
        durable::sync_file_system(tmp).map_err(ImageError::io("flush", tmp))?;
        durable::rename(tmp, &self.path(diff_id)).map_err(ImageError::io("keep", tmp))
    }

    pub(crate) fn list(&self) -> Result<Vec<Digest>, ImageError> {
        let mut found = Vec::new();
        for entry in fs::read_dir(&self.layers).map_err(ImageError::io("list", &self.layers))? {
            let entry = entry.map_err(ImageError::io("list", &self.layers))?;
            let name = entry.file_name();
            let hex = name.to_str().and_then(|name| name.strip_prefix("sha256-"));
            if let Some(digest) = hex.and_then(|hex| format!("sha256:{hex}").parse().ok()) {
                found.push(digest);
            }
        }
        Ok(found)
    }

    /// Bytes of its files, as counted while unpacking.
    pub(crate) fn bytes(&self, diff_id: &Digest) -> u64 {
        let summary = fs::read(self.summary_path(diff_id)).ok();
        let summary: Option<LayerSummary> = summary.and_then(|bytes| serde_json::from_slice(&bytes).ok());
        summary.map_or(0, |summary| summary.bytes)
    }

    /// Takes the layer's name away at once; returns where its files wait to be removed.
    pub(crate) fn condemn(&self, diff_id: &Digest) -> Result<Option<PathBuf>, ImageError> {
        let path = self.path(diff_id);
        let grave = self.unfinished.join(durable::unfinished_name("gone"));
        match fs::rename(&path, &grave) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            other => other.map_err(ImageError::io("remove", &path))?,
        }
        let _ = fs::remove_file(self.summary_path(diff_id));
        Ok(Some(grave))
    }
}
