//! What callers, watchers and the writer share.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use redb::{Database, Durability, ReadTransaction, ReadableDatabase, WriteTransaction};
use tokio::sync::{Semaphore, watch};

use crate::{CommitError, ReadError, Unavailable};

use super::Options;
use super::begin::{Reached, catch_up};
use super::data_file::Faults;
use super::feed::Feed;
use super::group::Failed;
use super::lock_file::LockFile;
use super::open::{OpenError, open_database};
use super::pins::Pins;
use super::queue::{Action, Done, Queue};
use super::timers::Timers;

/// Reads at once on the blocking pool; more wait.
pub(super) const READS_AT_ONCE: usize = 8;

/// See the module. The data file and the lock are let go when the writer ends, whoever still holds this.
#[derive(Debug)]
pub(super) struct Engine {
    pub(super) directory: PathBuf,
    pub(super) options: Options,
    pub(super) epoch: u64,
    pub(super) faults: Arc<Faults>,
    pub(super) queue: Queue,
    pub(super) feed: Feed,
    pub(super) database: RwLock<Option<Database>>,
    /// Whether something was acknowledged that readers of the data file do not see yet.
    pub(super) is_ahead: AtomicBool,
    pub(super) timers: Mutex<Timers>,
    pub(super) pins: Mutex<Pins>,
    pub(super) reads: Arc<Semaphore>,
    pub(super) ended: watch::Sender<Option<Unavailable>>,
    pub(super) lock: Mutex<Option<LockFile>>,
}

impl Engine {
    /// Hands an action to the writer and waits for its answer.
    pub(super) async fn ask(&self, action: Action) -> Result<Done, CommitError> {
        let Some(answer) = self.queue.push(action).await else {
            return Err(CommitError::Unavailable(self.why_unavailable()));
        };
        match answer.await {
            Ok(reply) => reply,
            Err(_) => Err(CommitError::OutcomeUnknown { reason: self.why_unavailable().reason }),
        }
    }

    /// Runs a read where it may wait for the disk.
    pub(super) async fn on_pool<T: Send + 'static>(
        self: &Arc<Self>,
        read: impl FnOnce(&Self) -> Result<T, ReadError> + Send + 'static,
    ) -> Result<T, ReadError> {
        // Who reads rarely pays for those who write often: the writer keeps its transaction open otherwise.
        if self.is_ahead.load(Ordering::SeqCst) && self.ask(Action::Show).await.is_err() {
            return Err(self.why_unavailable().into());
        }
        let permit = Arc::clone(&self.reads).acquire_owned().await;
        let permit = permit.map_err(|_| self.why_unavailable())?;
        let engine = Arc::clone(self);
        let done = tokio::task::spawn_blocking(move || {
            let result = read(&engine);
            drop((permit, engine));
            result
        });
        done.await.unwrap_or_else(|error| Err(Unavailable::new(format!("a read panicked: {error}")).into()))
    }

    /// A consistent view of all that is committed.
    pub(super) fn begin_read(&self) -> Result<ReadTransaction, ReadError> {
        let database = self.database.read().unwrap_or_else(PoisonError::into_inner);
        let database = database.as_ref().ok_or_else(|| self.why_unavailable())?;
        database.begin_read().map_err(|error| unreadable(&error.into()))
    }

    pub(super) fn begin_write(&self, durability: Durability) -> Result<WriteTransaction, Failed> {
        let database = self.database.read().unwrap_or_else(PoisonError::into_inner);
        let mut txn = database.as_ref().ok_or(Failed::DatabaseClosed)?.begin_write()?;
        txn.set_durability(durability)?;
        Ok(txn)
    }

    /// Opens the data file anew, with all that the log holds, and says where it stands.
    pub(super) fn reopen_file(&self) -> Result<Reached, OpenError> {
        self.pins().clear();
        let mut slot = self.database.write().unwrap_or_else(PoisonError::into_inner);
        drop(slot.take());
        self.faults.clear();
        let database = open_database(&self.directory, self.options, &self.faults)?;
        let reached = catch_up(&database, &self.directory)?;
        *slot = Some(database);
        Ok(reached)
    }

    /// Lets go of the data file, then of the directory.
    pub(super) fn close_file(&self) {
        self.pins().clear();
        if let Some(database) = self.database.write().unwrap_or_else(PoisonError::into_inner).take()
            && let Err(error) = database.close()
        {
            // Everything acknowledged is on disk; the next start verifies instead of trusting.
            tracing::warn!(%error, "state engine did not close cleanly");
        }
        self.lock.lock().unwrap_or_else(PoisonError::into_inner).take();
    }

    /// The engine is over, for everybody. Only the first reason counts.
    pub(super) fn end(&self, reason: &str) {
        self.ended.send_if_modified(|ended| {
            let is_first = ended.is_none();
            ended.get_or_insert_with(|| Unavailable::new(reason));
            is_first
        });
        self.queue.close();
        self.feed.end();
        self.timers().lose_all();
    }

    /// Why nothing is answered any more.
    pub(super) fn why_unavailable(&self) -> Unavailable {
        self.ended.borrow().clone().unwrap_or_else(|| Unavailable::new("the state engine is closing"))
    }

    /// Space that the data file could still take, if the system says.
    pub(super) fn free_bytes(&self) -> Option<u64> {
        let disk = rustix::fs::statvfs(&self.directory).ok()?;
        disk.f_bavail.checked_mul(disk.f_frsize)
    }

    pub(super) fn timers(&self) -> MutexGuard<'_, Timers> {
        self.timers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn pins(&self) -> MutexGuard<'_, Pins> {
        self.pins.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A read that the data file did not answer.
pub(super) fn unreadable(error: &Failed) -> ReadError {
    Unavailable::new(format!("the data file cannot be read: {error}")).into()
}
