//! The way to the keeper: bounded by bytes; who comes when it is full waits.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, oneshot};

use crate::{Commit, CommitError, Key, LeaseId, Revision};

use super::head::SnapshotAt;

/// What the keeper is asked to do.
#[derive(Debug)]
pub(super) enum Action {
    /// Apply a checked commit.
    Commit(Commit),
    /// A new lease.
    Grant { ttl_ms: u64 },
    /// End a lease.
    Revoke(LeaseId),
    /// End a lease whose node has this version, which is how long it was without a sign of life.
    Expire { lease: LeaseId, version: i32 },
    /// The candidate at `node` is the first: it leads. Its record is `key`.
    TakeOver { key: Key, value: Bytes, node: String },
    /// Drop history.
    Compact { before: Revision },
    /// Make a whole snapshot the one that readers begin with, if `janitor` still is in office.
    Checkpoint { at: SnapshotAt, janitor: String },
    /// Nothing, once the copy is as new as the store was when this was asked.
    Barrier,
}

/// What the keeper answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Done {
    /// The store is at this revision.
    At(Revision),
    /// The lease is granted, or has ended.
    Lease(LeaseId),
    /// The lease had a sign of life in the meantime.
    Alive,
    /// The candidate leads.
    Elected { lease: LeaseId, fence: Revision },
}

pub(super) type Reply = Result<Done, CommitError>;

/// An action on its way, with where its answer goes; the room it takes comes back when it is dropped.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) action: Action,
    pub(super) reply: Option<oneshot::Sender<Reply>>,
    _room: Option<OwnedSemaphorePermit>,
}

/// Something whose owner went away and waits for no answer.
#[derive(Debug)]
pub(super) enum Abandoned {
    /// A leader's.
    Lease(LeaseId),
    /// Of a candidate: a child of `parent` whose name begins so.
    Candidate { parent: String, prefix: String },
}

const BOUND_KIB: u32 = 16 * 1024;

#[derive(Debug, Default)]
struct Waiting {
    requests: VecDeque<Request>,
    candidates: Vec<(String, String)>,
    closed: bool,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Queue {
    waiting: Mutex<Waiting>,
    filled: Notify,
    room: Arc<Semaphore>,
}

impl Queue {
    pub(super) fn new() -> Self {
        let bound = usize::try_from(BOUND_KIB).expect("a small number fits");
        Self { waiting: Mutex::default(), filled: Notify::new(), room: Arc::new(Semaphore::new(bound)) }
    }

    /// Hands `action` to the keeper; the answer comes through the receiver. `None` when the queue is closed.
    pub(super) async fn push(&self, action: Action) -> Option<oneshot::Receiver<Reply>> {
        let kib = u32::try_from(action.weight() / 1024).unwrap_or(BOUND_KIB - 1) + 1;
        let room = Arc::clone(&self.room).acquire_many_owned(kib).await.ok()?;
        let (reply, answer) = oneshot::channel();
        let request = Request { action, reply: Some(reply), _room: Some(room) };
        let mut waiting = self.waiting();
        if waiting.closed {
            return None;
        }
        waiting.requests.push_back(request);
        drop(waiting);
        self.filled.notify_one();
        Some(answer)
    }

    /// Ends something without waiting. Bounded by the leases and candidates there are, not by the queue.
    pub(super) fn abandon(&self, what: Abandoned) {
        let mut waiting = self.waiting();
        match what {
            Abandoned::Lease(lease) => {
                let request = Request { action: Action::Revoke(lease), reply: None, _room: None };
                waiting.requests.push_back(request);
            }
            Abandoned::Candidate { parent, prefix } => waiting.candidates.push((parent, prefix)),
        }
        drop(waiting);
        self.filled.notify_one();
    }

    /// No more requests.
    pub(super) fn close(&self) {
        self.room.close();
        self.waiting().closed = true;
        self.filled.notify_one();
    }

    /// Returns when there may be something to take.
    pub(super) async fn filled(&self) {
        self.filled.notified().await;
    }

    /// The first that wait, as many as fit into `bytes`, but at least one.
    pub(super) fn take(&self, bytes: usize) -> Vec<Request> {
        let mut waiting = self.waiting();
        let (mut taken, mut sum) = (Vec::new(), 0);
        while let Some(next) = waiting.requests.front() {
            sum += next.action.weight();
            if sum > bytes && !taken.is_empty() {
                break;
            }
            taken.extend(waiting.requests.pop_front());
        }
        taken
    }

    /// Candidates whose nodes must go: parents and beginnings of names.
    pub(super) fn take_candidates(&self) -> Vec<(String, String)> {
        std::mem::take(&mut self.waiting().candidates)
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Action {
    /// At most so many bytes in a transaction.
    fn weight(&self) -> usize {
        /// Paths and numbers of what comes with it.
        const REST: usize = 512;
        match self {
            Self::Commit(commit) => commit.bytes() + 16 * (commit.ops.len() + 1),
            Self::TakeOver { key, value, node } => key.len() + value.len() + 3 * node.len() + REST,
            Self::Barrier => 0,
            _ => REST,
        }
    }
}
