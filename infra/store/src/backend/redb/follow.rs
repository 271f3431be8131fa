//! A watch on the embedded engine: pulls from the feed's tail, or from the history when it is further behind.

use std::sync::Arc;

use futures_util::stream;
use tokio::sync::watch::Receiver;

use crate::sieve::Sieve;
use crate::{Change, Key, ReadError, Revision, Watch};

use super::engine::Engine;
use super::feed::Head;
use super::read::Past;

/// Batches looked at in one step.
const STEP: usize = 256;

struct Follower {
    engine: Arc<Engine>,
    head: Receiver<Head>,
    sieve: Sieve,
    /// Nothing follows what was found.
    is_over: bool,
}

/// Everything under `prefix` from revision `from` on.
pub(super) fn follow(engine: Arc<Engine>, prefix: Key, from: Revision) -> Watch {
    let head = engine.feed.subscribe();
    let sieve = Sieve::new(prefix, from);
    let follower = Follower { engine, head, sieve, is_over: false };
    Watch::new(stream::unfold(follower, |mut follower| async move {
        let change = follower.step().await?;
        Some((change, follower))
    }))
}

impl Follower {
    async fn step(&mut self) -> Option<Change> {
        loop {
            if let Some(change) = self.sieve.pop() {
                return Some(change);
            }
            if self.is_over {
                return None;
            }
            let head = *self.head.borrow_and_update();
            if self.sieve.next() == head.revision.next() {
                self.wait(head).await?;
                continue;
            }
            match self.fetch().await {
                // The writer is ahead of its own announcement; the announcement follows.
                Ok(Past::Batches(batches)) if batches.is_empty() => self.wait(head).await?,
                Ok(Past::Batches(batches)) => self.sieve.sift(&batches, head.revision),
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
        let from = self.sieve.next();
        match self.engine.feed.since(from, STEP) {
            Some(batches) if !batches.is_empty() => Ok(Past::Batches(batches)),
            _ => self.engine.on_pool(move |engine| engine.past(from, STEP)).await,
        }
    }
}
