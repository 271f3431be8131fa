//! The one thread that changes the data file.
//!
//! ```text
//! wait ──▶ take all that waits ──▶ apply in order ──▶ record, synced ──▶ feed, then answers ──▶ wait
//!               │                        │                  │
//!               └── log full: checkpoint └── no space:      └── a failed sync: end for good
//!                                            refuse the group
//! ```
//!
//! It sleeps until a request comes, a lease is due, or a checkpoint is ([`super::checkpoint`]). Nothing is answered
//! or shown to readers before the sync that covers it.
//!
//! One transaction of the data file stays open over many groups: to begin and commit one costs several times what a
//! small change in it costs. It is committed when somebody reads ([`Action::Show`]) and at checkpoints. If it is lost,
//! the log has all of it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use redb::{Durability, WriteTransaction};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use crate::{CommitError, LeaseId, Op, Revision};

use super::engine::Engine;
use super::group::{Failed, Group, HistoryBounds, Outcome, Position};
use super::log::Log;
use super::queue::{Action, Done, Reply, Taken};

/// How soon the end of a lease is tried again when there was no space to write it.
const RETRY_EXPIRY: Duration = Duration::from_secs(1);
/// After the last write, until the data file is synced.
const QUIET: Duration = Duration::from_secs(2);

/// The writer's own state.
pub(super) struct Writer {
    pub(super) engine: Arc<Engine>,
    pub(super) bounds: HistoryBounds,
    pub(super) position: Position,
    pub(super) log: Log,
    /// What is in the log, but not committed to the data file.
    pub(super) open: Option<WriteTransaction>,
    /// When to make a checkpoint if nothing comes until then; there is something in the log.
    pub(super) rest_at: Option<Instant>,
    /// Lease ids are the epoch and a count, so they need no counter on disk.
    pub(super) leases_granted: u32,
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
    /// Somebody waits to read.
    is_read: bool,
}

/// A group that failed as a whole.
pub(super) enum Broken {
    /// There was no space; nothing of it is in the log.
    NoSpace,
    /// The engine cannot go on.
    Failed(Failed),
}

impl<E: Into<Failed>> From<E> for Broken {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
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
        // Nobody reads any more, and the log has it.
        self.open = None;
        // Whoever came while it ended was not served.
        let rest = engine.queue.take(Some(Instant::now()), 0).requests;
        let replies = rest.into_iter().map(|request| request.reply).collect();
        answer_all(replies, &CommitError::Unavailable(engine.why_unavailable()));
        engine.close_file();
    }

    fn serve(&mut self) {
        let mut before = 0;
        loop {
            let due = self.engine.timers().next_due();
            let deadline = [due, self.rest_at].into_iter().flatten().min();
            let taken = self.engine.queue.take(deadline, before);
            before = taken.requests.len();
            let (kib, closed) = (taken.kib(), taken.closed);
            let due = self.engine.timers().take_due(Instant::now());
            let is_open = self.round(taken, &due);
            self.engine.queue.release(kib);
            if !is_open {
                return;
            }
            if closed {
                return self.rest_for_good();
            }
        }
    }

    /// One group. False when the engine has ended.
    fn round(&mut self, taken: Taken, due: &[LeaseId]) -> bool {
        self.engine.faults.clear();
        if taken.requests.is_empty() && taken.abandoned.is_empty() && due.is_empty() {
            return match self.rest(Instant::now()) {
                Ok(()) => true,
                Err(error) => self.fail(&error, Vec::new()),
            };
        }
        self.engine.pins().drop_old(Instant::now());
        let ending: Vec<LeaseId> = taken.abandoned.iter().chain(due).copied().collect();
        let mut pending = Pending::default();
        match self.execute(taken, &ending, &mut pending) {
            Ok(outcome) => self.settle(pending, outcome),
            Err(Broken::NoSpace) => {
                answer_all(pending.replies, &CommitError::NoSpace);
                let at = Instant::now() + RETRY_EXPIRY;
                ending.iter().for_each(|&lease| self.engine.timers().retry(lease, at));
            }
            Err(Broken::Failed(error)) => return self.fail(&error, pending.replies),
        }
        true
    }

    /// Applies, makes durable, then visible.
    fn execute(
        &mut self,
        taken: Taken,
        ending: &[LeaseId],
        pending: &mut Pending,
    ) -> Result<Outcome, Broken> {
        let most_bytes = taken.payload_bytes(ending.len());
        // The replies first: if a later step fails the whole group, each must get its answer.
        let (actions, replies): (Vec<_>, Vec<_>) =
            taken.requests.into_iter().map(|request| (request.action, request.reply)).unzip();
        pending.replies = replies;
        self.make_room(most_bytes)?;
        let was_full = self.is_in_memory();
        let (txn, is_new) = match self.open.take() {
            Some(txn) => (txn, false),
            None => (self.engine.begin_write(Durability::None)?, true),
        };
        let mut group = Group::begin(&txn, self.position)?;
        self.apply(&mut group, actions, ending, was_full, pending)?;
        if group.has_changed() {
            group.trim(self.bounds)?;
            group.mark_logged(self.log.next())?;
        }
        let outcome = group.end();
        if outcome.has_changed && self.is_in_memory() && !was_full {
            txn.abort()?;
            tracing::warn!("no space left for the state engine, writes are refused");
            if !is_new {
                self.leave_memory()?;
            }
            return Err(Broken::NoSpace);
        }
        if outcome.has_changed {
            self.log.append(outcome.position.head, &outcome.payload).map_err(Failed::Io)?;
            // From here on the group counts, even if the data file has it in memory only.
            self.rest_at = Some(Instant::now() + QUIET);
        }
        self.keep_or_show(txn, is_new && !outcome.has_changed, pending.is_read)?;
        Ok(outcome)
    }

    /// What becomes of the transaction after a group.
    fn keep_or_show(&mut self, txn: WriteTransaction, is_empty: bool, is_read: bool) -> Result<(), Failed> {
        if is_empty {
            txn.abort()?;
        } else if is_read {
            txn.commit()?;
            self.engine.is_ahead.store(false, Ordering::SeqCst);
        } else {
            self.open = Some(txn);
            self.engine.is_ahead.store(true, Ordering::SeqCst);
        }
        Ok(())
    }

    fn apply(
        &mut self,
        group: &mut Group<'_>,
        actions: Vec<Action>,
        ending: &[LeaseId],
        is_full: bool,
        pending: &mut Pending,
    ) -> Result<(), Failed> {
        for &lease in ending {
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
            Action::Show => {
                pending.is_read = true;
                Ok(Ok(Done::At(group.position().head)))
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

    /// The engine cannot go on. Answers false, as [`Writer::round`] then does.
    fn fail(&self, error: &Failed, replies: Vec<oneshot::Sender<Reply>>) -> bool {
        let reason = self.engine.faults.take().map_or_else(|| error.to_string(), |fault| fault.to_string());
        tracing::error!(%reason, "state engine ends");
        self.engine.end(&reason);
        answer_all(replies, &CommitError::OutcomeUnknown { reason: reason.into() });
        false
    }
}

fn takes_space(action: &Action) -> bool {
    match action {
        Action::Commit(commit) => commit.ops.iter().any(|op| matches!(op, Op::Put { .. })),
        Action::Grant { .. } => true,
        Action::Revoke(_) | Action::Compact { .. } | Action::Show => false,
    }
}

fn answer_all(replies: Vec<oneshot::Sender<Reply>>, error: &CommitError) {
    for reply in replies {
        let _ = reply.send(Err(error.clone()));
    }
}
