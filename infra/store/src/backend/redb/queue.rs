//! The way to the writer: bounded by bytes; who comes when it is full waits.
//!
//! Who was just answered usually asks again at once. So after a group of many the writer lingers for as many,
//! a fraction of what a sync takes; otherwise it would sync for the quickest alone, then for all others.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{Semaphore, oneshot};
use tokio_util::sync::CancellationToken;

use crate::{Commit, CommitError, LeaseId, Revision};

use super::log;

/// What the writer is asked to do.
#[derive(Debug)]
pub(super) enum Action {
    /// Apply a checked commit.
    Commit(Commit),
    /// A new lease; no TTL: it lives until revoked or the store is opened again. The token is cancelled at its end.
    Grant { ttl_ms: Option<u64>, lost: CancellationToken },
    /// End a lease.
    Revoke(LeaseId),
    /// Drop history.
    Compact { before: Revision },
    /// Let readers of the data file see everything that was acknowledged.
    Show,
}

/// What the writer answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Done {
    /// The store is at this revision.
    At(Revision),
    /// The lease is granted.
    Granted(LeaseId),
}

pub(super) type Reply = Result<Done, CommitError>;

/// An action on its way, with where its answer goes.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) action: Action,
    pub(super) reply: oneshot::Sender<Reply>,
}

/// All that waited.
#[derive(Debug, Default)]
pub(super) struct Taken {
    pub(super) requests: Vec<Request>,
    /// Leases whose holder went away and waits for no answer.
    pub(super) abandoned: Vec<LeaseId>,
    /// Nothing will come after this.
    pub(super) closed: bool,
    kib: u32,
}

/// Half a log: every group fits.
const BOUND_KIB: u32 = 4 * 1024;
const LINGER: Duration = Duration::from_micros(250);
const LINGER_FOR: usize = 256;

#[derive(Debug, Default)]
struct Waiting {
    taken: Taken,
    /// The writer sleeps until so many requests wait; 0 when it does not sleep.
    wanted: usize,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Queue {
    waiting: Mutex<Waiting>,
    filled: Condvar,
    room: Semaphore,
}

impl Queue {
    pub(super) fn new() -> Self {
        let bound = usize::try_from(BOUND_KIB).expect("a small number fits");
        Self { waiting: Mutex::default(), filled: Condvar::new(), room: Semaphore::new(bound) }
    }

    /// Hands `action` to the writer; the answer comes through the receiver. `None` when the queue is closed.
    pub(super) async fn push(&self, action: Action) -> Option<oneshot::Receiver<Reply>> {
        let kib = weight_kib(&action);
        self.room.acquire_many(kib).await.ok()?.forget();
        let (reply, answer) = oneshot::channel();
        let mut waiting = self.waiting();
        if waiting.taken.closed {
            return None;
        }
        waiting.taken.requests.push(Request { action, reply });
        waiting.taken.kib += kib;
        let is_awaited = waiting.taken.requests.len() == waiting.wanted;
        drop(waiting);
        if is_awaited {
            self.filled.notify_one();
        }
        Some(answer)
    }

    /// Ends a lease without waiting. Bounded by the leases there are, not by the queue.
    pub(super) fn abandon(&self, lease: LeaseId) {
        self.waiting().taken.abandoned.push(lease);
        self.filled.notify_one();
    }

    /// No more requests; the writer gets the rest and then the end.
    pub(super) fn close(&self) {
        self.room.close();
        self.waiting().taken.closed = true;
        self.filled.notify_one();
    }

    /// Everything that waits, as soon as there is something, or at `deadline` with nothing. `before` is how many
    /// requests were taken the last time. The room that the requests take stays taken until [`Queue::release`].
    pub(super) fn take(&self, deadline: Option<Instant>, before: usize) -> Taken {
        let mut waiting = self.waiting();
        if before > 1 {
            waiting = self.sleep(waiting, before.min(LINGER_FOR), Some(Instant::now() + LINGER));
        }
        waiting = self.sleep(waiting, 1, deadline);
        let closed = waiting.taken.closed;
        std::mem::replace(&mut waiting.taken, Taken { closed, ..Taken::default() })
    }

    /// Until `wanted` requests wait, or something else is to be done.
    fn sleep<'a>(
        &self,
        mut waiting: MutexGuard<'a, Waiting>,
        wanted: usize,
        deadline: Option<Instant>,
    ) -> MutexGuard<'a, Waiting> {
        waiting.wanted = wanted;
        while waiting.taken.requests.len() < wanted
            && waiting.taken.abandoned.is_empty()
            && !waiting.taken.closed
        {
            let Some(deadline) = deadline else {
                waiting = self.filled.wait(waiting).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            waiting = self.filled.wait_timeout(waiting, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        waiting.wanted = 0;
        waiting
    }

    /// Gives back the room of what was taken, once it is done.
    pub(super) fn release(&self, kib: u32) {
        self.room.add_permits(usize::try_from(kib).expect("the bound fits"));
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Taken {
    /// The room it takes in the queue.
    pub(super) const fn kib(&self) -> u32 {
        self.kib
    }

    /// The most bytes that its record has to say, with the ends of so many leases beside what was asked for.
    pub(super) fn payload_bytes(&self, ending: usize) -> usize {
        usize::try_from(self.kib).expect("the bound fits") * 1024 + ending * log::END_BYTES
    }
}

fn weight_kib(action: &Action) -> u32 {
    match action {
        // Refused above 1 MB before it comes here.
        Action::Commit(commit) => {
            1 + u32::try_from(log::commit_bytes(commit) / 1024).unwrap_or(BOUND_KIB - 1)
        }
        Action::Grant { .. } | Action::Revoke(_) | Action::Compact { .. } | Action::Show => 1,
    }
}
