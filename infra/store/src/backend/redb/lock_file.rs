//! One process a data directory.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::path::Path;

/// Held as long as it lives; the kernel lets go when the process dies, however it dies.
#[derive(Debug)]
pub(super) struct LockFile {
    file: File,
}

/// Why the directory is not ours.
#[derive(Debug)]
pub(super) enum LockFailure {
    /// Another process, or another store of this one, has it.
    Held {
        /// Its pid, if it had written it yet.
        holder: Option<u32>,
    },
    /// The lock file could not be made or locked.
    Io(io::Error),
}

impl LockFile {
    /// Locks the file at `path`, making it if needed, and writes our pid into it for those who come second.
    pub(super) fn acquire(path: &Path) -> Result<Self, LockFailure> {
        let open = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path);
        let mut file = open.map_err(LockFailure::Io)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(LockFailure::Held { holder: pid_in(&mut file) }),
            Err(TryLockError::Error(error)) => return Err(LockFailure::Io(error)),
        }
        // The pid is a courtesy: on a full disk it may stay unwritten, the lock holds all the same.
        let _ = write_pid(&mut file);
        Ok(Self { file })
    }
}

impl Drop for LockFile {
    /// Closing would do, were there not processes just being started: until they run their own program they hold a copy
    /// of every open file, and the lock with it.
    fn drop(&mut self) {
        if let Err(error) = self.file.unlock() {
            tracing::warn!(%error, "the lock of a data directory was not given back");
        }
    }
}

fn write_pid(file: &mut File) -> io::Result<()> {
    file.rewind()?;
    let text = format!("{}\n", std::process::id());
    file.write_all(text.as_bytes())?;
    file.set_len(text.len().try_into().unwrap_or(0))
}

fn pid_in(file: &mut File) -> Option<u32> {
    let mut text = String::new();
    file.take(32).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}
