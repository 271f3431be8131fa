//! The file below redb: says which of its calls failed, and never leaves a hole to be filled later.
//!
//! redb stops for good at the first failed call and does not say which it was. We must know: no space is
//! survived by opening the file again, a failed sync is not (the kernel may have dropped the pages, and a second
//! sync would claim success). Growing reserves the blocks at once, so a full disk shows when the file grows and
//! not in the middle of a commit.

use std::fmt;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::{Arc, Mutex, PoisonError};

use redb::StorageBackend;
use rustix::fs::{FallocateFlags, fallocate};
use rustix::io::Errno;

/// The first call that failed since the last [`Faults::clear`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fault {
    /// The file could not grow by so many bytes.
    NoSpace { wanted_bytes: u64 },
    /// Written data may or may not be on disk.
    Sync { reason: String },
    /// A read or write failed.
    Io { reason: String },
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoSpace { wanted_bytes } => write!(f, "no space for {wanted_bytes} more bytes"),
            Self::Sync { reason } => write!(f, "the data file could not be synced: {reason}"),
            Self::Io { reason } => write!(f, "the data file failed: {reason}"),
        }
    }
}

/// Shared between the file, which redb owns, and the engine.
#[derive(Debug, Default)]
pub(super) struct Faults {
    first: Mutex<Option<Fault>>,
    #[cfg(test)]
    pub(super) fail_syncs: std::sync::atomic::AtomicBool,
}

impl Faults {
    fn note(&self, fault: Fault) {
        self.first.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(fault);
    }

    /// Forgets what failed.
    pub(super) fn clear(&self) {
        self.take();
    }

    /// What failed first, forgetting it.
    pub(super) fn take(&self) -> Option<Fault> {
        self.first.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// See the module.
#[derive(Debug)]
pub(super) struct DataFile {
    file: File,
    faults: Arc<Faults>,
}

impl DataFile {
    pub(super) const fn new(file: File, faults: Arc<Faults>) -> Self {
        Self { file, faults }
    }

    fn note(&self, error: io::Error, wanted_bytes: u64) -> io::Error {
        let full = matches!(error.raw_os_error(), Some(libc::ENOSPC | libc::EDQUOT | libc::EFBIG));
        let reason = error.to_string();
        self.faults.note(if full { Fault::NoSpace { wanted_bytes } } else { Fault::Io { reason } });
        error
    }

    fn grow(&self, from: u64, to: u64) -> io::Result<()> {
        match fallocate(&self.file, FallocateFlags::empty(), from, to - from) {
            Ok(()) => Ok(()),
            Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL) => self.file.set_len(to),
            Err(error) => {
                // A part may have been reserved; the length must be what redb believes.
                self.file.set_len(from)?;
                Err(error.into())
            }
        }
    }
}

impl StorageBackend for DataFile {
    fn len(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.file.read_exact_at(out, offset).map_err(|error| self.note(error, 0))
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let now = self.len()?;
        let result = if len > now { self.grow(now, len) } else { self.file.set_len(len) };
        result.map_err(|error| self.note(error, len.saturating_sub(now)))
    }

    fn sync_data(&self) -> io::Result<()> {
        let result = self.file.sync_data();
        #[cfg(test)]
        let result = if self.faults.fail_syncs.load(std::sync::atomic::Ordering::SeqCst) {
            Err(io::Error::from_raw_os_error(libc::EIO))
        } else {
            result
        };
        result.inspect_err(|error| self.faults.note(Fault::Sync { reason: error.to_string() }))
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let wanted = u64::try_from(data.len()).unwrap_or(u64::MAX);
        self.file.write_all_at(data, offset).map_err(|error| self.note(error, wanted))
    }
}
