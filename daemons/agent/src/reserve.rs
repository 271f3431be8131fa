//! Disk space and inodes kept for records: on a full disk what happened to tasks can still be written down, and told.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::{FallocateFlags, fallocate};

/// Holds the bytes.
const FILE: &str = "reserve";
/// Holds as many inodes as it has files.
const DIR: &str = "reserve.d";

/// Some hundred records.
const WHOLE_BYTES: u64 = 2 << 20;
/// A record that is replaced needs a second one for a moment.
const WHOLE_FILES: usize = 64;

/// Given back at a time, and a file with it: the system does not say which of the two is lacking.
const STEP_BYTES: u64 = 64 << 10;

/// Files that take up space until it is needed.
#[derive(Debug, Clone)]
pub(crate) struct Reserve {
    path: PathBuf,
    files: PathBuf,
}

impl Reserve {
    /// In `dir`, as large as there is room for.
    pub(crate) fn open(dir: &Path) -> Self {
        let reserve = Self { path: dir.join(FILE), files: dir.join(DIR) };
        if let Err(error) = reserve.fill() {
            tracing::warn!(%error, path = %reserve.path.display(), "no disk space could be set aside for records");
        }
        reserve
    }

    /// Takes up what is missing.
    pub(crate) fn fill(&self) -> io::Result<()> {
        let file = File::options().write(true).create(true).truncate(false).open(&self.path)?;
        fallocate(&file, FallocateFlags::empty(), 0, WHOLE_BYTES)?;
        fs::create_dir_all(&self.files)?;
        (0..WHOLE_FILES).try_for_each(|number| File::create(self.files.join(number.to_string())).map(drop))
    }

    /// Gives some space back to the file system; false when there is none left.
    pub(crate) fn give(&self) -> bool {
        let has_given = self.give_file();
        self.give_bytes() || has_given
    }

    fn give_bytes(&self) -> bool {
        let Ok(held) = fs::metadata(&self.path).map(|file| file.len()) else { return false };
        let shrunk = File::options().write(true).open(&self.path);
        held > 0 && shrunk.and_then(|file| file.set_len(held.saturating_sub(STEP_BYTES))).is_ok()
    }

    fn give_file(&self) -> bool {
        let first = fs::read_dir(&self.files).ok().and_then(|mut files| files.next()?.ok());
        first.is_some_and(|file| fs::remove_file(file.path()).is_ok())
    }

    /// Whether some of it was given back.
    pub(crate) fn is_short(&self) -> bool {
        let files = fs::read_dir(&self.files).map_or(0, Iterator::count);
        files < WHOLE_FILES || fs::metadata(&self.path).map_or(true, |file| file.len() < WHOLE_BYTES)
    }
}
