//! The log's blocks: written once with zeros, then only ever overwritten.
//!
//! Where the file system allows it a write goes past the page cache and returns once it is durable (`O_DIRECT` and
//! `O_DSYNC`, open(2)): half the time and a third of the processor time of a write and a sync. Records begin at
//! multiples of [`BLOCK`], so that no block with an acknowledged record in it is ever written again before the log
//! restarts.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::sync::Arc;

use super::super::data_file::{Fault, Faults};
use super::super::open::sync_directory;
use super::frame::{self, Record};
use super::log_path;

/// What the disk writes at once, in bytes; the page size of redb, which relies on the same.
pub(in super::super) const BLOCK: u64 = 4096;
/// Its whole length. A group always fits: the queue lets in much less.
pub(in super::super) const LOG_BYTES: u64 = 8 << 20;

/// Buffers beyond this are given back.
const KEPT_BYTES: usize = 64 * 1024;

/// Whether there is a log.
pub(in super::super) fn is_there(directory: &Path) -> bool {
    log_path(directory).exists()
}

/// Makes the log of a directory if it has none that is complete. Nothing may depend on its contents.
pub(in super::super) fn make(directory: &Path) -> io::Result<()> {
    let path = log_path(directory);
    if std::fs::metadata(&path).is_ok_and(|found| found.len() == LOG_BYTES) {
        return Ok(());
    }
    // Complete under another name first: no log is ever half made.
    let part = path.with_extension("log.new");
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&part)?;
    let zeros = vec![0; usize::try_from(BLOCK).expect("a small number fits") * 64];
    let mut written = 0;
    while written < LOG_BYTES {
        file.write_all(&zeros)?;
        written += u64::try_from(zeros.len()).expect("lengths fit");
    }
    file.sync_all()?;
    std::fs::rename(&part, &path)?;
    sync_directory(directory)
}

/// See the module.
#[derive(Debug)]
pub(super) struct LogFile {
    file: File,
    /// A write is durable when it returns.
    is_direct: bool,
    faults: Arc<Faults>,
    /// Holds an aligned run of blocks, see [`aligned`].
    buffer: Vec<u8>,
}

impl LogFile {
    /// Opens the log that [`make`] made, and wipes its first block.
    pub(super) fn open(path: &Path, faults: Arc<Faults>) -> io::Result<Self> {
        let direct = OpenOptions::new().write(true).custom_flags(libc::O_DIRECT | libc::O_DSYNC).open(path);
        if let Ok(file) = direct {
            let mut log = Self { file, is_direct: true, faults: Arc::clone(&faults), buffer: Vec::new() };
            if log.wipe().is_ok() {
                return Ok(log);
            }
        }
        let file = OpenOptions::new().write(true).open(path)?;
        let mut log = Self { file, is_direct: false, faults, buffer: Vec::new() };
        log.wipe()?;
        Ok(log)
    }

    fn wipe(&mut self) -> io::Result<()> {
        let zeros = aligned(&mut self.buffer, BLOCK);
        zeros.fill(0);
        self.file.write_all_at(zeros, 0)?;
        if self.is_direct { Ok(()) } else { self.file.sync_data() }
    }

    /// Writes a record durably at `at`; answers the bytes it takes.
    pub(super) fn write(&mut self, at: u64, record: &Record<'_>) -> io::Result<u64> {
        let len = frame::blocks(record.payload.len());
        let out = aligned(&mut self.buffer, len);
        frame::write(out, at, record);
        let written = self.file.write_all_at(out, at);
        let synced = written.and_then(|()| if self.is_direct { Ok(()) } else { self.file.sync_data() });
        if self.buffer.len() > KEPT_BYTES {
            self.buffer = Vec::new();
        }
        #[cfg(test)]
        let synced = self.faults.test_sync(synced);
        synced.inspect_err(|error| self.faults.note(Fault::Log { reason: error.to_string() }))?;
        Ok(len)
    }
}

/// So many bytes of `buffer` that begin where a direct write may.
fn aligned(buffer: &mut Vec<u8>, len: u64) -> &mut [u8] {
    let (len, block) = (usize::try_from(len), usize::try_from(BLOCK));
    let (len, block) = (len.expect("records fit into memory"), block.expect("a small number fits"));
    if buffer.len() < len + block {
        buffer.resize(len + block, 0);
    }
    let start = buffer.as_ptr().align_offset(block);
    &mut buffer[start..start + len]
}
