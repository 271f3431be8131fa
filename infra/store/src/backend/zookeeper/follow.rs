//! A watch: pulls from the history of the copy.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream;
use tokio::sync::watch::Receiver;

use crate::{Batch, Change, Key, Revision, Watch};

use super::engine::{Engine, Seen};
use super::history::Past;

/// Batches looked at in one step.
const STEP: usize = 256;
/// Between two tries to learn whether a revision exists.
const RETRY: Duration = Duration::from_millis(200);

struct Follower {
    engine: Arc<Engine>,
    seen: Receiver<Seen>,
    prefix: Key,
    /// The first revision not looked at yet.
    next: Revision,
    /// Found, not yet told; at most [`STEP`] + 1.
    found: VecDeque<Change>,
    is_over: bool,
    /// The copy was as new as the store after the watch began.
    has_caught_up: bool,
}

/// Everything under `prefix` from revision `from` on.
pub(super) fn follow(engine: Arc<Engine>, prefix: Key, from: Revision) -> Watch {
    let seen = engine.seen.subscribe();
    let next = from.max(Revision::ZERO.next());
    let follower =
        Follower { engine, seen, prefix, next, found: VecDeque::new(), is_over: false, has_caught_up: false };
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
            let has_ended = self.seen.borrow_and_update().has_ended;
            let (past, head) = {
                let copy = self.engine.copy();
                (copy.history.since(self.next, copy.revision, STEP), copy.revision)
            };
            match past {
                Past::Batches(batches) if batches.is_empty() => {
                    if has_ended {
                        return None;
                    }
                    self.seen.changed().await.ok()?;
                }
                Past::Batches(batches) => self.sift(&batches, head),
                // Another process may have told of it before it came here.
                Past::Gone { .. } if self.next > head.next() && !self.has_caught_up => {
                    match self.engine.catch_up().await {
                        Ok(()) => self.has_caught_up = true,
                        Err(_) if has_ended => return None,
                        Err(_) => tokio::time::sleep(RETRY).await,
                    }
                }
                Past::Gone { oldest } => {
                    self.is_over = true;
                    return Some(Change::Compacted { oldest });
                }
            }
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
