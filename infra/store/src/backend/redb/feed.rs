//! From the writer to the watchers: the newest batches, and the revision reached.
//!
//! Watchers pull. The writer leaves the newest batches in a short tail and moves the head; who is further behind
//! reads the history table. So no watcher can slow the writer, and none has a queue that fills.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use crate::{Batch, Revision};

use super::record::batch_len;

const TAIL_BATCHES: usize = 1024;
const TAIL_BYTES: usize = 512 * 1024;

/// How far the store is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) revision: Revision,
    /// There will be no more.
    pub(super) has_ended: bool,
}

#[derive(Debug, Default)]
struct Tail {
    /// Without gaps, the last one at the head.
    batches: VecDeque<Arc<Batch>>,
    bytes: usize,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Feed {
    tail: Mutex<Tail>,
    head: watch::Sender<Head>,
}

impl Feed {
    /// At the revision found on disk.
    pub(super) fn new(revision: Revision) -> Self {
        let head = watch::Sender::new(Head { revision, has_ended: false });
        Self { tail: Mutex::default(), head }
    }

    /// Adds what one group committed.
    pub(super) fn publish(&self, batches: Vec<Arc<Batch>>) {
        let Some(revision) = batches.last().map(|batch| batch.revision) else { return };
        let mut tail = self.tail();
        for batch in batches {
            tail.bytes += batch_len(&batch.events);
            tail.batches.push_back(batch);
        }
        while tail.batches.len() > TAIL_BATCHES || (tail.bytes > TAIL_BYTES && tail.batches.len() > 1) {
            tail.drop_first();
        }
        drop(tail);
        self.head.send_modify(|head| head.revision = revision);
    }

    /// Forgets batches older than `before`, as the history does.
    pub(super) fn compact(&self, before: Revision) {
        let mut tail = self.tail();
        while tail.batches.front().is_some_and(|batch| batch.revision < before) {
            tail.drop_first();
        }
    }

    /// Up to `most` batches from `from` on, or `None` if the tail does not reach back to it.
    pub(super) fn since(&self, from: Revision, most: usize) -> Option<Vec<Arc<Batch>>> {
        let tail = self.tail();
        let first = tail.batches.front()?.revision;
        let skip = usize::try_from(from.get().checked_sub(first.get())?).ok()?;
        Some(tail.batches.iter().skip(skip).take(most).cloned().collect())
    }

    /// Sees every move of the head.
    pub(super) fn subscribe(&self) -> watch::Receiver<Head> {
        self.head.subscribe()
    }

    /// There will be no more batches.
    pub(super) fn end(&self) {
        self.head.send_modify(|head| head.has_ended = true);
    }

    fn tail(&self) -> MutexGuard<'_, Tail> {
        self.tail.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Tail {
    fn drop_first(&mut self) {
        if let Some(batch) = self.batches.pop_front() {
            self.bytes -= batch_len(&batch.events);
        }
    }
}
