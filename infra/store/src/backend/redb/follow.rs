//! A watch on the embedded engine: pulls from the feed's tail, or from the history when it is further behind.

use std::collections::VecDeque;
use std::sync::Arc;

use futures_util::stream;
use tokio::sync::watch::Receiver;

use crate::{Batch, Change, Key, ReadError, Revision, Watch};

use super::engine::Engine;
use super::feed::Head;
use super::read::Past;

/// Batches looked at in one step.
const STEP: usize = 256;

struct Follower {
    engine: Arc<Engine>,
    head: Receiver<Head>,
    prefix: Key,
    /// The first revision not looked at yet.
    next: Revision,
    /// Found, not yet told; at most [`STEP`] + 1.
    found: VecDeque<Change>,
    /// Nothing follows what was found.
    is_over: bool,
}

/// Everything under `prefix` from revision `from` on.
pub(super) fn follow(engine: Arc<Engine>, prefix: Key, from: Revision) -> Watch {
    let head = engine.feed.subscribe();
    let next = from.max(Revision::ZERO.next());
    let follower = Follower { engine, head, prefix, next, found: VecDeque::new(), is_over: false };
    Watch::new(stream::unfold(follower, |mut follower| async move {
        let change = follower.step().await?;
        Some((change, follower))
    }))
}

impl Follower {
    async fn step(&mut self) -> Option<Change> {
        loop {
            if let Some(change) = self.found.pop_front() {
                return Some(change);
            }
            if self.is_over {
                return None;
            }
            let head = *self.head.borrow_and_update();
            if self.next == head.revision.next() {
                self.wait(head).await?;
                continue;
            }
            match self.fetch().await {
                // The writer is ahead of its own announcement; the announcement follows.
                Ok(Past::Batches(batches)) if batches.is_empty() => self.wait(head).await?,
                Ok(Past::Batches(batches)) => self.sift(&batches, head.revision),
                Ok(Past::Gone { oldest }) => {
                    self.is_over = true;
                    return Some(Change::Compacted { oldest });
                }
                Err(error) => {
                    tracing::warn!(%error, "watch ends");
                    return None;
                }
            }
        }
    }

    /// For the head to move; none when it never will.
    async fn wait(&mut self, head: Head) -> Option<()> {
        if head.has_ended {
            return None;
        }
        self.head.changed().await.ok()
    }

    async fn fetch(&self) -> Result<Past, ReadError> {
        let from = self.next;
        match self.engine.feed.since(from, STEP) {
            Some(batches) if !batches.is_empty() => Ok(Past::Batches(batches)),
            _ => self.engine.on_pool(move |engine| engine.past(from, STEP)).await,
        }
    }

    /// Keeps what is under the prefix, and says how far it is when the end was not.
    fn sift(&mut self, batches: &[Arc<Batch>], head: Revision) {
        let mut told = Revision::ZERO;
        for batch in batches {
            assert_eq!(batch.revision, self.next, "the history has no gaps");
            self.next = batch.revision.next();
            let events: Vec<_> =
                batch.events.iter().filter(|event| event.key().starts_with(&self.prefix)).cloned().collect();
            if !events.is_empty() {
                told = batch.revision;
                self.found.push_back(Change::Batch(Batch { revision: batch.revision, events }));
            }
        }
        let reached = batches.last().map_or(Revision::ZERO, |batch| batch.revision);
        if reached > told && reached >= head {
            self.found.push_back(Change::Progress(reached));
        }
    }
}
