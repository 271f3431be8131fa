//! Disk space kept for records: on a full disk what happened to tasks can still be written down, and told.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::{FallocateFlags, fallocate};

const FILE: &str = "reserve";

/// Some hundred records.
const WHOLE_BYTES: u64 = 2 << 20;

/// Given back at a time.
const STEP_BYTES: u64 = 64 << 10;

/// A file that takes up space until it is needed.
#[derive(Debug, Clone)]
pub(crate) struct Reserve {
    path: PathBuf,
}

impl Reserve {
    /// In `dir`, as large as there is room for.
    pub(crate) fn open(dir: &Path) -> Self {
        let reserve = Self { path: dir.join(FILE) };
        if let Err(error) = reserve.fill() {
            tracing::warn!(%error, path = %reserve.path.display(), "no disk space could be set aside for records");
        }
        reserve
    }

    /// Takes up what is missing.
    pub(crate) fn fill(&self) -> io::Result<()> {
        let file = File::options().write(true).create(true).truncate(false).open(&self.path)?;
        Ok(fallocate(&file, FallocateFlags::empty(), 0, WHOLE_BYTES)?)
    }

    /// Gives some space back to the file system; false when there is none left.
    pub(crate) fn give(&self) -> bool {
        let Ok(held) = fs::metadata(&self.path).map(|file| file.len()) else { return false };
        let shrunk = File::options().write(true).open(&self.path);
        held > 0 && shrunk.and_then(|file| file.set_len(held.saturating_sub(STEP_BYTES))).is_ok()
    }

    /// Whether some of it was given back.
    pub(crate) fn is_short(&self) -> bool {
        fs::metadata(&self.path).map_or(true, |file| file.len() < WHOLE_BYTES)
    }
}
