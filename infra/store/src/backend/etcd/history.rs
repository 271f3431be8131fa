//! How far back etcd remembers.
//!
//! A compaction at revision `c` leaves every key as it was at `c`, but forgets keys that were deleted at `c`. So the
//! oldest revision whose batch is surely whole is `c + 1`.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::{CommitError, Consistency, ReadError, Revision};

use super::follow::Feed;
use super::keyspace::Keyspace;
use super::link::{Effort, Failure, Link};
use super::read::{self, ask, unavailable};
use super::transaction::as_commit_error;
use super::verdict::Denial;
use super::wire::{self, CompactionRequest, RangeRequest};

/// The last compaction heard of.
#[derive(Debug, Default)]
pub(super) struct History {
    compacted: AtomicU64,
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

/// Lets etcd forget what is older than the configured span, again and again, until the lead is lost or the engine closed.
pub(super) async fn keep_short(link: Arc<Link>, keys: Keyspace, lost: CancellationToken) {
    let (span, closed) = (link.config.history, link.tasks.token());
    let mut before = None;
    loop {
        match read::head(&link, &keys).await {
            Ok(head) => {
                if let Some(before) = before.replace(head)
                    && let Err(error) = compact(&link, &keys, before).await
                {
                    tracing::warn!(%error, %before, "etcd keeps its history, which fills its quota in the end");
                }
            }
            Err(error) => tracing::debug!(%error, "etcd forgets nothing now"),
        }
        tokio::select! {
            () = lost.cancelled() => return,
            () = closed.cancelled() => return,
            () = sleep(span) => {}
        }
    }
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
