//! The log in front of the data file: what makes a group durable, in one small write.
//!
//! ```text
//! group ──▶ record at the end of the log, synced ──▶ data file, not synced ──▶ answers
//!                     │
//!                     └── the log is full, or all was quiet for a while: checkpoint
//!                         (the data file is synced, the log starts again at its beginning)
//! ```
//!
//! A commit of the data file touches pages in many places; a record is one contiguous write over blocks that are
//! on the disk already, so that no file system has anything of its own to write. Records are numbered for ever.
//! The data file says in each of its commits which record it contains ([`super::tables::LOGGED`]), so whatever
//! state of it survives, the records after that one are what it lacks ([`super::redo`]).
//!
//! | file | what |
//! |---|---|
//! | [`mod@file`] | the blocks on the disk |
//! | [`frame`] | how a record lies in them, and which of those found are to be done again |
//! | [`payload`] | what a record says |

mod file;
mod frame;
mod payload;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::Revision;

use super::data_file::Faults;

use file::LogFile;

pub(super) use file::{LOG_BYTES, is_there, make};
pub(super) use frame::{Record, whole_records};
pub(super) use payload::{Change, END_BYTES, Payload, commit_bytes};

/// Where the log of a store lies.
pub(super) fn log_path(directory: &Path) -> PathBuf {
    directory.join("state.log")
}

/// The log as the writer has it: only ever appended to.
#[derive(Debug)]
pub(super) struct Log {
    file: LogFile,
    epoch: u64,
    /// The number of the record to come.
    next: u64,
    /// Where it will begin.
    end: u64,
    /// The checkpoint is due when the log would grow beyond this.
    checkpoint_bytes: u64,
}

impl Log {
    /// An empty log; what it held must be in the data file, durably.
    pub(super) fn begin(
        directory: &Path,
        faults: &Arc<Faults>,
        epoch: u64,
        next: u64,
        checkpoint_bytes: u64,
    ) -> io::Result<Self> {
        let file = LogFile::open(&log_path(directory), Arc::clone(faults))?;
        Ok(Self { file, epoch, next, end: 0, checkpoint_bytes })
    }

    /// The number of the record to come.
    pub(super) const fn next(&self) -> u64 {
        self.next
    }

    /// Whether nothing was appended since the last checkpoint.
    pub(super) const fn is_empty(&self) -> bool {
        self.end == 0
    }

    /// Whether a record with at most so much to say still has room.
    pub(super) fn has_room(&self, payload_bytes: usize) -> bool {
        let end = self.end + frame::blocks(payload_bytes);
        end <= LOG_BYTES && (self.is_empty() || end <= self.checkpoint_bytes)
    }

    /// Makes a record durable; `head` is the revision it leads to. After a failure nobody knows what the disk
    /// holds, and the engine must end.
    pub(super) fn append(&mut self, head: Revision, payload: &Payload) -> io::Result<()> {
        assert!(
            self.end + frame::blocks(payload.bytes().len()) <= LOG_BYTES,
            "the queue lets in less than a log"
        );
        let record = Record { epoch: self.epoch, number: self.next, head, payload: payload.bytes() };
        self.end += self.file.write(self.end, &record)?;
        self.next += 1;
        Ok(())
    }

    /// Everything in it is in the data file, durably: the next record overwrites the first.
    pub(super) const fn restart(&mut self) {
        self.end = 0;
    }
}
