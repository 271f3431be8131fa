//! The one thread that changes the data file.
//!
//! ```text
//! wait ──▶ take all that waits ──▶ apply in order ──▶ one durable commit ──▶ feed, then answers ──▶ wait
//!                                        │                   │
//!                                        └──── no space ─────┴──▶ open the file again, refuse the group
//!                                                            └──▶ a failed sync: end for good
//! ```
//!
//! It sleeps until a request comes or a lease is due. Nothing is ever answered before the sync that covers it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use crate::{CommitError, LeaseId, Op, Revision};

use super::data_file::Fault;
use super::engine::Engine;
use super::group::{Failed, Group, HistoryBounds, Outcome, Position};
use super::queue::{Action, Done, Reply, Request};

/// How soon the end of a lease is tried again when there was no space to write it.
const RETRY_EXPIRY: Duration = Duration::from_secs(1);

/// The writer's own state.
pub(super) struct Writer {
    pub(super) engine: Arc<Engine>,
    pub(super) bounds: HistoryBounds,
    pub(super) position: Position,
    /// Lease ids are the epoch and a count, so they need no counter on disk.
    pub(super) leases_granted: u32,
    /// The disk was full, and so many bytes were missing.
    pub(super) wanted_bytes: Option<u64>,
}

/// What becomes of a lease when the group is durable.
enum LeaseChange {
    Begins(LeaseId, Option<Duration>, CancellationToken),
    Ends(LeaseId),
}

/// A group on its way to the disk.
#[derive(Default)]
struct Pending {
    replies: Vec<oneshot::Sender<Reply>>,
    results: Vec<Reply>,
    leases: Vec<LeaseChange>,
    compacted: Option<Revision>,
}

/// A group that failed as a whole.
struct Broken {
    error: Failed,
    /// What it did, if it failed so late that this may be durable.
    reached: Option<Box<Outcome>>,
}

impl Broken {
    const fn early(error: Failed) -> Self {
        Self { error, reached: None }
    }
}

impl Writer {
    /// Works until the queue is closed or the disk fails, then closes the data file.
    pub(super) fn run(mut self) {
        let engine = Arc::clone(&self.engine);
        if catch_unwind(AssertUnwindSafe(|| self.serve())).is_err() {
            engine.end("the writer of the state engine panicked");
        }
        engine.end("the state engine was closed");
        // Whoever came while it ended was not served.
        let rest = engine.queue.take(Some(Instant::now()), 0).requests;
        let replies = rest.into_iter().map(|request| request.reply).collect();
        answer_all(replies, &CommitError::Unavailable(engine.why_unavailable()));
        engine.close_file();
    }

    fn serve(&mut self) {
        let mut before = 0;
        loop {
            let deadline = self.engine.timers().next_due();
            let taken = self.engine.queue.take(deadline, before);
            before = taken.requests.len();
            let kib = taken.kib();
            let due = self.engine.timers().take_due(Instant::now());
            let is_open = self.round(taken.requests, &taken.abandoned, &due);
            self.engine.queue.release(kib);
            if taken.closed || !is_open {
                return;
            }
        }
    }

    /// One group. False when the engine has ended.
    fn round(&mut self, requests: Vec<Request>, abandoned: &[LeaseId], due: &[LeaseId]) -> bool {
        if requests.is_empty() && abandoned.is_empty() && due.is_empty() {
            return true;
        }
        self.engine.pins().drop_old(Instant::now());
        self.engine.faults.clear();
        let mut pending = Pending::default();
        match self.execute(requests, abandoned, due, &mut pending) {
            Ok(outcome) => {
                self.settle(pending, outcome);
                true
            }
            Err(broken) => self.recover(broken, pending, abandoned, due),
        }
    }

    /// Applies and commits.
    fn execute(
        &mut self,
        requests: Vec<Request>,
        abandoned: &[LeaseId],
        due: &[LeaseId],
        pending: &mut Pending,
    ) -> Result<Outcome, Broken> {
        let is_full = self.is_still_full();
        let txn = self.engine.begin_write().map_err(Broken::early)?;
        let applied = Group::begin(&txn, self.position).and_then(|mut group| {
            let result = self.apply(&mut group, requests, abandoned, due, is_full, pending);
            result.and_then(|()| group.trim(self.bounds)).map(|()| group.end())
        });
        let outcome = applied.map_err(Broken::early)?;
        if !outcome.has_changed {
            return txn.abort().map(|()| outcome).map_err(|error| Broken::early(error.into()));
        }
        match txn.commit() {
            Ok(()) => Ok(outcome),
            Err(error) => Err(Broken { error: error.into(), reached: Some(Box::new(outcome)) }),
        }
    }

    fn apply(
        &mut self,
        group: &mut Group<'_>,
        requests: Vec<Request>,
        abandoned: &[LeaseId],
        due: &[LeaseId],
        is_full: bool,
        pending: &mut Pending,
    ) -> Result<(), Failed> {
        // The replies first: if a later step fails the whole group, each must get its answer.
        let (actions, replies): (Vec<_>, Vec<_>) =
            requests.into_iter().map(|request| (request.action, request.reply)).unzip();
        pending.replies = replies;
        for &lease in abandoned.iter().chain(due) {
            group.revoke(lease)?;
            pending.leases.push(LeaseChange::Ends(lease));
        }
        for action in actions {
            let result = if is_full && takes_space(&action) {
                Err(CommitError::NoSpace)
            } else {
                self.act(group, action, pending)?
            };
            pending.results.push(result);
        }
        Ok(())
    }

    fn act(&mut self, group: &mut Group<'_>, action: Action, pending: &mut Pending) -> Result<Reply, Failed> {
        match action {
            Action::Commit(commit) => Ok(group.commit(commit)?.map(Done::At)),
            Action::Grant { ttl_ms, lost } => {
                self.leases_granted += 1;
                let lease = LeaseId::new(self.engine.epoch << 32 | u64::from(self.leases_granted));
                group.grant(lease, ttl_ms.unwrap_or(0))?;
                pending.leases.push(LeaseChange::Begins(lease, ttl_ms.map(Duration::from_millis), lost));
                Ok(Ok(Done::Granted(lease)))
            }
            Action::Revoke(lease) => {
                if !group.revoke(lease)? {
                    return Ok(Err(CommitError::LeaseEnded { index: 0, lease }));
                }
                pending.leases.push(LeaseChange::Ends(lease));
                Ok(Ok(Done::Granted(lease)))
            }
            Action::Compact { before } => {
                group.compact(before)?;
                pending.compacted = pending.compacted.max(Some(before));
                Ok(Ok(Done::At(before)))
            }
        }
    }

    /// The group is durable: let watchers see it, then answer.
    fn settle(&mut self, pending: Pending, outcome: Outcome) {
        self.position = outcome.position;
        if outcome.has_changed {
            self.wanted_bytes = self.wanted_bytes.filter(|_| self.is_still_full());
        }
        self.engine.feed.publish(outcome.batches);
        if let Some(before) = pending.compacted {
            self.engine.feed.compact(before);
        }
        if !pending.leases.is_empty() {
            let mut timers = self.engine.timers();
            for change in pending.leases {
                match change {
                    LeaseChange::Begins(lease, ttl, lost) => timers.insert(lease, ttl, lost, Instant::now()),
                    LeaseChange::Ends(lease) => timers.ended(lease),
                }
            }
        }
        for (reply, result) in pending.replies.into_iter().zip(pending.results) {
            // Who went away does not want to know.
            let _ = reply.send(result);
        }
    }

    /// The group failed as a whole. False when that ends the engine.
    fn recover(&mut self, broken: Broken, pending: Pending, abandoned: &[LeaseId], due: &[LeaseId]) -> bool {
        let fault = self.engine.faults.take();
        let Some(Fault::NoSpace { wanted_bytes }) = fault else {
            let reason = fault.map_or_else(|| broken.error.to_string(), |fault| fault.to_string());
            tracing::error!(%reason, "state engine ends");
            self.engine.end(&reason);
            answer_all(pending.replies, &CommitError::OutcomeUnknown { reason: reason.into() });
            return false;
        };
        tracing::warn!(wanted_bytes, "no space left for the state engine, writes are refused");
        self.wanted_bytes = Some(wanted_bytes);
        let head = match self.engine.reopen_file() {
            Ok(head) => head,
            Err(reason) => {
                self.engine.end(&reason);
                answer_all(pending.replies, &CommitError::OutcomeUnknown { reason: reason.into() });
                return false;
            }
        };
        // A commit that failed late may be durable all the same; then it counts.
        match broken.reached {
            Some(outcome) if outcome.batches.last().is_some_and(|batch| batch.revision == head) => {
                self.settle(pending, *outcome);
            }
            _ => {
                answer_all(pending.replies, &CommitError::NoSpace);
                let at = Instant::now() + RETRY_EXPIRY;
                due.iter().for_each(|&lease| self.engine.timers().retry(lease, at));
                abandoned.iter().for_each(|&lease| self.engine.timers().retry(lease, at));
            }
        }
        true
    }

    /// Whether what was missing when the disk was full is still missing.
    fn is_still_full(&self) -> bool {
        let Some(wanted_bytes) = self.wanted_bytes else { return false };
        self.engine.free_bytes().is_some_and(|free| free < wanted_bytes)
    }
}

fn takes_space(action: &Action) -> bool {
    match action {
        Action::Commit(commit) => commit.ops.iter().any(|op| matches!(op, Op::Put { .. })),
        Action::Grant { .. } => true,
        Action::Revoke(_) | Action::Compact { .. } => false,
    }
}

fn answer_all(replies: Vec<oneshot::Sender<Reply>>, error: &CommitError) {
    for reply in replies {
        let _ = reply.send(Err(error.clone()));
    }
}
