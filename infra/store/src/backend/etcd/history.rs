//! How far back etcd remembers.
//!
//! A compaction at revision `c` leaves every key as it was at `c`, but forgets keys that were deleted at `c`. So the
//! oldest revision whose batch is surely whole is `c + 1`.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::{CommitError, Consistency, ReadError, Revision};

use super::config::Config;
use super::follow::Feed;
use super::keyspace::Keyspace;
use super::link::{Effort, Failure, Link};
use super::read::{self, ask, unavailable};
use super::transaction::as_commit_error;
use super::verdict::Denial;
use super::wire::{self, CompactionRequest, RangeRequest, StatusResponse};

/// In the usual span.
const LOOKS: u32 = 30;

/// The last compaction heard of.
#[derive(Debug, Default)]
pub(super) struct History {
    compacted: AtomicU64,
}

/// How far etcd was at a time, and how large.
#[derive(Debug, Clone, Copy)]
struct Mark {
    at: Instant,
    revision: Revision,
    /// What lies in etcd, whoever wrote it; what was forgotten is no longer in it.
    bytes: u64,
    /// What this server has written since it was started.
    written: u64,
}

impl Mark {
    fn of(member: &StatusResponse, written: u64) -> Self {
        let bytes = u64::try_from(member.db_size_in_use).unwrap_or(0);
        Self { at: Instant::now(), revision: wire::revision_of(member.header.as_ref()), bytes, written }
    }

    /// At least so much was written since `older`. The size alone tells too little once etcd forgets as much as is
    /// written, and what this server has written too little when others led.
    fn since(&self, older: &Self) -> u64 {
        let grown = self.bytes.saturating_sub(older.bytes);
        grown.max(self.written - older.written)
    }
}

/// How etcd has grown, in a mark for each look, oldest first: also those of the time before this server led.
#[derive(Debug, Default)]
pub(super) struct Growth {
    marks: Mutex<VecDeque<Mark>>,
    written: AtomicU64,
}

impl Growth {
    fn marks(&self) -> MutexGuard<'_, VecDeque<Mark>> {
        self.marks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// So many bytes were sent to be written.
    pub(super) fn write(&self, bytes: usize) {
        self.written.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    fn note(&self, config: &Config, mark: Mark) {
        let mut marks = self.marks();
        while marks.front().is_some_and(|oldest| mark.at - oldest.at > 2 * config.history) {
            marks.pop_front();
        }
        marks.push_back(mark);
    }

    /// The newest revision before which etcd may forget everything: another one after the usual span, and sooner if
    /// much was written since. `compacted` is when that was last done.
    fn forgettable(&self, config: &Config, compacted: Option<Instant>) -> Option<Revision> {
        let mut marks = self.marks();
        let newest = *marks.back()?;
        let is_time = compacted.is_none_or(|compacted| newest.at.duration_since(compacted) >= config.history);
        let is_old = |mark: &Mark| is_time && newest.at - mark.at >= config.history;
        let is_much = |mark: &Mark| newest.since(mark) >= config.history_bytes;
        let last = marks.iter().rposition(|mark| is_old(mark) || is_much(mark))?;
        marks.drain(..=last).next_back().map(|mark| mark.revision)
    }
}

impl History {
    /// Takes note of a compaction and answers the oldest revision since.
    pub(super) fn compacted_at(&self, revision: Revision) -> Revision {
        self.compacted.fetch_max(revision.get(), Ordering::Relaxed);
        revision.next()
    }

    /// The oldest revision a watch may start from.
    pub(super) async fn oldest(&self, link: &Link, keys: &Keyspace) -> Result<Revision, ReadError> {
        let known = Revision::new(self.compacted.load(Ordering::Relaxed));
        // etcd tells the last compaction only to watches that come too late; reads are merely refused. Revision 1 is
        // the empty store.
        let asked = known.max(Revision::new(1));
        let request = RangeRequest {
            key: keys.outer(b"\0"),
            revision: wire::number(asked),
            count_only: true,
            ..RangeRequest::default()
        };
        match ask(link, Consistency::Linearizable, request).await {
            Ok(_) => Ok(known.next()),
            Err(Failure::Refused { denial: Denial::Compacted, .. }) => {
                let at = Feed::compaction(link, keys, asked).await?;
                Ok(at.map_or_else(|| known.next(), |at| self.compacted_at(at)))
            }
            Err(failure) => Err(unavailable(failure)),
        }
    }
}

/// Looks at how far etcd is, and how large, until the engine is closed: who leads later knows what it may let go.
pub(super) async fn observe(link: Arc<Link>) {
    let (pause, closed) = (between_looks(&link.config), link.tasks.token());
    loop {
        match read::member(&link).await {
            Ok(member) => {
                let written = link.growth.written.load(Ordering::Relaxed);
                link.growth.note(&link.config, Mark::of(&member, written));
            }
            Err(error) => tracing::debug!(%error, "how large etcd is cannot be told"),
        }
        tokio::select! {
            () = closed.cancelled() => return,
            () = sleep(pause) => {}
        }
    }
}

/// Lets etcd forget what is older than the configured span, or was followed by too much, again and again, until the lead
/// is lost or the engine closed.
pub(super) async fn keep_short(link: Arc<Link>, keys: Keyspace, lost: CancellationToken) {
    let (pause, closed) = (between_looks(&link.config), link.tasks.token());
    let mut compacted = None;
    loop {
        if let Some(before) = link.growth.forgettable(&link.config, compacted) {
            compacted = Some(Instant::now());
            if let Err(error) = compact(&link, &keys, before).await {
                tracing::warn!(%error, %before, "etcd keeps its history, which fills its quota in the end");
            }
        }
        tokio::select! {
            () = lost.cancelled() => return,
            () = closed.cancelled() => return,
            () = sleep(pause) => {}
        }
    }
}

/// 10 s with the usual span.
fn between_looks(config: &Config) -> Duration {
    (config.history / LOOKS).max(Duration::from_millis(50))
}

/// Makes etcd forget what was before `before`, of all clouds in it.
pub(super) async fn compact(link: &Link, keys: &Keyspace, before: Revision) -> Result<(), CommitError> {
    let head = read::head(link, keys).await.map_err(|error| match error {
        ReadError::Unavailable(unavailable) => CommitError::Unavailable(unavailable),
        ReadError::Compacted { .. } => unreachable!("the head asks for no revision"),
    })?;
    let at = Revision::new(before.get().saturating_sub(1)).min(head);
    if at == Revision::ZERO {
        return Ok(());
    }
    let answer = link
        .call(Effort::Repeat, |line| async move {
            let request = line.request(CompactionRequest { revision: wire::number(at) });
            line.kv().compact(request).await.map(drop)
        })
        .await;
    match answer {
        // Somebody was faster, or an earlier try came through.
        Ok(()) | Err(Failure::Refused { denial: Denial::Compacted, .. }) => Ok(()),
        Err(failure) => Err(as_commit_error(failure)),
    }
}

#[cfg(test)]
mod tests {
    use super::super::config::Endpoint;
    use super::*;

    const MIB: u64 = 1 << 20;

    /// Marks of (seconds, revision, MiB), with a span of 300 s and 256 MiB.
    fn growth(marks: &[(u64, u64, u64)], begin: Instant) -> (Growth, Config) {
        let config = Config::new(Vec::<Endpoint>::new(), "kogge");
        let growth = Growth::default();
        for (seconds, revision, mib) in marks {
            let at = begin + Duration::from_secs(*seconds);
            growth
                .note(&config, Mark { at, revision: Revision::new(*revision), bytes: mib * MIB, written: 0 });
        }
        (growth, config)
    }

    /// When (in seconds), at which revision, how large (in MiB).
    type Marks = &'static [(u64, u64, u64)];

    #[test]
    fn what_is_old_or_was_followed_by_much_is_forgotten() {
        let begin = Instant::now();
        let cases: [(Marks, Option<u64>, Option<u64>); 8] = [
            (&[], None, None),
            (&[(0, 1, 10), (290, 2, 20)], None, None),
            (&[(0, 1, 10), (10, 2, 20), (305, 3, 30)], None, Some(1)),
            // Not twice in one span,
            (&[(0, 1, 10), (10, 2, 20), (305, 3, 30)], Some(10), None),
            (&[(0, 1, 10), (10, 2, 20), (315, 3, 30)], Some(10), Some(2)),
            // unless much was written.
            (&[(0, 1, 10), (10, 2, 20), (20, 3, 30), (30, 4, 280)], Some(10), Some(2)),
            // What was larger before it was compacted hides nothing.
            (&[(0, 1, 900), (10, 2, 20), (20, 3, 30), (30, 4, 280)], Some(10), Some(2)),
            // Nobody led for long.
            (&[(0, 1, 0), (100, 2, 0), (650, 3, 0), (701, 4, 0)], None, None),
        ];
        for (marks, compacted, expected) in cases {
            let (growth, config) = growth(marks, begin);
            let compacted = compacted.map(|seconds| begin + Duration::from_secs(seconds));
            let found = growth.forgettable(&config, compacted);
            assert_eq!(found, expected.map(Revision::new), "{marks:?} {compacted:?}");
        }
    }

    /// Forgetting makes etcd smaller, which hides how much is written.
    #[test]
    fn under_writers_that_never_rest_etcd_grows_no_larger_than_it_may() {
        let (growth, config) = growth(&[], Instant::now());
        let (begin, look, pace, mut kept, mut compacted) = (Instant::now(), 10, 20 * MIB, 0, None);
        for round in 1..=500 {
            growth.write(usize::try_from(pace).unwrap());
            let (at, revision) = (begin + Duration::from_secs(round * look), Revision::new(round * 5_000));
            let (bytes, written) = ((round - kept) * pace, growth.written.load(Ordering::Relaxed));
            growth.note(&config, Mark { at, revision, bytes, written });
            if let Some(before) = growth.forgettable(&config, compacted) {
                (kept, compacted) = (before.get() / 5_000, Some(at));
            }
            let most = config.history_bytes + 2 * pace;
            assert!((round - kept) * pace <= most, "{} MiB after {round} looks", (round - kept) * pace / MIB);
        }
    }

    #[test]
    fn what_was_forgotten_is_not_forgotten_again() {
        let (growth, config) = growth(&[(0, 1, 0), (10, 2, 300)], Instant::now());
        assert_eq!(growth.forgettable(&config, None), Some(Revision::new(1)));
        assert_eq!(growth.forgettable(&config, None), None);
    }
}
