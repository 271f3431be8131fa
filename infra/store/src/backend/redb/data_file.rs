//! The file below redb: says which of its calls failed, and never leaves a hole to be filled later.
//!
//! redb stops for good at the first failed call and does not say which it was. We must know: a failed sync is the
//! end (the kernel may have dropped the pages, and a second sync would claim success), no space is not: then the
//! file goes on in memory ([`super::spill`]). Growing reserves the blocks at once, so a full disk shows when the
//! file grows and not in the middle of a commit.

use std::fmt;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
#[cfg(test)]
use std::sync::atomic::AtomicBool;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard};

use redb::StorageBackend;
use rustix::fs::{FallocateFlags, fallocate};
use rustix::io::Errno;

use super::spill::Spill;

/// The first call that failed since the last [`Faults::clear`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fault {
    /// Written data may or may not be on disk.
    Sync { reason: String },
    /// The same of a record of the log.
    Log { reason: String },
    /// A read or write failed.
    Io { reason: String },
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sync { reason } => write!(f, "the data file could not be synced: {reason}"),
            Self::Log { reason } => write!(f, "the log could not be synced: {reason}"),
            Self::Io { reason } => write!(f, "the data file failed: {reason}"),
        }
    }
}

/// Shared between the files and the engine.
#[derive(Debug, Default)]
pub(super) struct Faults {
    first: Mutex<Option<Fault>>,
    /// What the disk had no space for; 0 as long as there was space.
    missing_bytes: AtomicU64,
    #[cfg(test)]
    pub(super) fail_syncs: AtomicBool,
}

impl Faults {
    pub(super) fn note(&self, fault: Fault) {
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

    /// How many bytes the disk had no space for. Since then the data file goes on in memory, and nothing written to
    /// it is durable.
    pub(super) fn missing_bytes(&self) -> Option<u64> {
        Some(self.missing_bytes.load(Ordering::SeqCst)).filter(|&missing| missing > 0)
    }

    /// A sync that fails if a test wants it to.
    #[cfg(test)]
    pub(super) fn test_sync(&self, result: io::Result<()>) -> io::Result<()> {
        if self.fail_syncs.load(Ordering::SeqCst) {
            return Err(io::Error::from_raw_os_error(libc::EIO));
        }
        result
    }
}

/// See the module.
#[derive(Debug)]
pub(super) struct DataFile {
    file: File,
    faults: Arc<Faults>,
    spill: RwLock<Option<Spill>>,
}

impl DataFile {
    /// What is in memory of an earlier one is forgotten with it.
    pub(super) fn new(file: File, faults: Arc<Faults>) -> Self {
        faults.missing_bytes.store(0, Ordering::SeqCst);
        Self { file, faults, spill: RwLock::new(None) }
    }

    fn spill(&self) -> RwLockReadGuard<'_, Option<Spill>> {
        self.spill.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the file on the disk with `change`, or in memory with `instead` once there was no space.
    fn change(
        &self,
        wanted_bytes: u64,
        change: impl FnOnce(&File) -> io::Result<()>,
        instead: impl FnOnce(&mut Spill, &File) -> io::Result<()>,
    ) -> io::Result<()> {
        let mut spill = self.spill.write().unwrap_or_else(PoisonError::into_inner);
        if spill.is_none() {
            match change(&self.file) {
                Err(error) if is_full(&error) => {
                    self.faults.missing_bytes.store(wanted_bytes.max(1), Ordering::SeqCst);
                    *spill = Some(Spill::over(self.file.metadata()?.len()));
                }
                result => return result,
            }
        }
        spill.as_mut().map_or(Ok(()), |spill| instead(spill, &self.file))
    }

    fn noted(&self, result: io::Result<()>) -> io::Result<()> {
        result.inspect_err(|error| self.faults.note(Fault::Io { reason: error.to_string() }))
    }
}

fn is_full(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::ENOSPC | libc::EDQUOT | libc::EFBIG))
}

fn grow(file: &File, from: u64, to: u64) -> io::Result<()> {
    match fallocate(file, FallocateFlags::empty(), from, to - from) {
        Ok(()) => Ok(()),
        Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL) => file.set_len(to),
        Err(error) => {
            // A part may have been reserved; the length must be what redb believes.
            file.set_len(from)?;
            Err(error.into())
        }
    }
}

impl StorageBackend for DataFile {
    fn len(&self) -> io::Result<u64> {
        match &*self.spill() {
            Some(spill) => Ok(spill.len()),
            None => Ok(self.file.metadata()?.len()),
        }
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let result = match &*self.spill() {
            Some(spill) => spill.read(&self.file, offset, out),
            None => self.file.read_exact_at(out, offset),
        };
        self.noted(result)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let now = self.len()?;
        let on_disk = |file: &File| if len > now { grow(file, now, len) } else { file.set_len(len) };
        let in_memory = |spill: &mut Spill, _: &File| {
            spill.set_len(len);
            Ok(())
        };
        self.noted(self.change(len.saturating_sub(now), on_disk, in_memory))
    }

    fn sync_data(&self) -> io::Result<()> {
        if self.faults.missing_bytes().is_some() {
            return Ok(());
        }
        let result = self.file.sync_data();
        #[cfg(test)]
        let result = self.faults.test_sync(result);
        result.inspect_err(|error| self.faults.note(Fault::Sync { reason: error.to_string() }))
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let wanted = u64::try_from(data.len()).unwrap_or(u64::MAX);
        let on_disk = |file: &File| file.write_all_at(data, offset);
        self.noted(self.change(wanted, on_disk, |spill, file| spill.write(file, offset, data)))
    }
}
