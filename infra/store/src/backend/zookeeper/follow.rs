//! A watch: pulls from the history of the copy.

use std::sync::Arc;
use std::time::Duration;

use futures_util::stream;
use tokio::sync::watch::Receiver;

use crate::sieve::Sieve;
use crate::{Change, Key, Revision, Watch};

use super::engine::{Engine, Seen};
use super::history::Past;

/// Batches looked at in one step.
const STEP: usize = 256;
/// Between two tries to learn whether a revision exists.
const RETRY: Duration = Duration::from_millis(200);

struct Follower {
    engine: Arc<Engine>,
    seen: Receiver<Seen>,
    sieve: Sieve,
    is_over: bool,
    /// The copy was as new as the store after the watch began.
    has_caught_up: bool,
}

/// Everything under `prefix` from revision `from` on.
pub(super) fn follow(engine: Arc<Engine>, prefix: Key, from: Revision) -> Watch {
    let seen = engine.seen.subscribe();
    let sieve = Sieve::new(prefix, from);
    let follower = Follower { engine, seen, sieve, is_over: false, has_caught_up: false };
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
            let has_ended = self.seen.borrow_and_update().has_ended;
            let (past, head) = {
                let copy = self.engine.copy();
                (copy.history.since(self.sieve.next(), copy.revision, STEP), copy.revision)
            };
            match past {
                Past::Batches(batches) if batches.is_empty() => {
                    if has_ended {
                        return None;
                    }
                    self.seen.changed().await.ok()?;
                }
                Past::Batches(batches) => self.sieve.sift(&batches, head),
                // Another process may have told of it before it came here.
                Past::Gone { .. } if self.sieve.next() > head.next() && !self.has_caught_up => {
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
}
