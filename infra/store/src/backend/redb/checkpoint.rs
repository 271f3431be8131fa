//! When the data file is synced, so that the log can start again; and how a full disk is left behind.

use std::sync::atomic::Ordering;
use std::time::Instant;

use redb::{Durability, WriteTransaction};

use super::begin::set;
use super::group::Failed;
use super::tables::IN_LOG;
use super::writer::{Broken, Writer};

impl Writer {
    /// Room in the log for a record with at most so much to say.
    pub(super) fn make_room(&mut self, payload_bytes: usize) -> Result<(), Broken> {
        if self.is_in_memory() && !self.is_still_full() {
            self.leave_memory()?;
        }
        if self.log.has_room(payload_bytes) || (self.checkpoint()? && self.log.has_room(payload_bytes)) {
            return Ok(());
        }
        Err(Broken::NoSpace)
    }

    /// Makes a checkpoint if nothing has come for long enough.
    pub(super) fn rest(&mut self, now: Instant) -> Result<(), Failed> {
        if self.rest_at.take_if(|at| *at <= now).is_some() && !self.log.is_empty() {
            self.checkpoint()?;
        }
        Ok(())
    }

    /// The last thing before the data file is closed: it needs no log from now on.
    pub(super) fn rest_for_good(&mut self) {
        let mut rest = || -> Result<(), Failed> {
            let txn = self.begin_durable()?;
            set(&txn, &[(IN_LOG, 0)])?;
            Ok(txn.commit()?)
        };
        if let Err(error) = rest() {
            // Everything acknowledged is in the log; the next start does it again.
            tracing::warn!(%error, "state engine could not make its last checkpoint");
        }
    }

    /// Syncs the data file and starts the log again. False when there was no space for that.
    fn checkpoint(&mut self) -> Result<bool, Failed> {
        if self.is_in_memory() {
            return Ok(false);
        }
        self.begin_durable()?.commit()?;
        self.engine.is_ahead.store(false, Ordering::SeqCst);
        if self.is_in_memory() {
            return Ok(false);
        }
        self.log.restart();
        Ok(true)
    }

    /// The open transaction, or a new one, to be synced.
    fn begin_durable(&mut self) -> Result<WriteTransaction, Failed> {
        let Some(mut txn) = self.open.take() else { return self.engine.begin_write(Durability::Immediate) };
        txn.set_durability(Durability::Immediate)?;
        Ok(txn)
    }

    /// Opens the data file anew and does again, on the disk, what it did in memory.
    pub(super) fn leave_memory(&mut self) -> Result<(), Failed> {
        self.open = None;
        let reached = self.engine.reopen_file();
        let reached = reached.map_err(|error| Failed::Io(std::io::Error::other(error)))?;
        assert_eq!(reached.position.head, self.position.head, "the log holds all that was acknowledged");
        assert_eq!(reached.logged + 1, self.log.next(), "the log holds all that was acknowledged");
        self.engine.is_ahead.store(false, Ordering::SeqCst);
        self.position = reached.position;
        if !self.is_in_memory() {
            self.log.restart();
        }
        Ok(())
    }

    /// Whether the data file found no space, and goes on in memory ([`super::spill`]).
    pub(super) fn is_in_memory(&self) -> bool {
        self.engine.faults.missing_bytes().is_some()
    }

    /// Whether what was missing when the disk was full is still missing.
    fn is_still_full(&self) -> bool {
        let (missing, free) = (self.engine.faults.missing_bytes(), self.engine.free_bytes());
        missing.zip(free).is_some_and(|(missing, free)| free < missing)
    }
}
