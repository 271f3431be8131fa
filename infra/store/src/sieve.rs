//! What of a history without gaps lies under a prefix: the part of a watch that is the same for engines that keep one.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::{Batch, Change, Key, Revision};

/// Takes whole batches, and gives what is to be told of them, in order.
#[derive(Debug)]
pub(crate) struct Sieve {
    prefix: Key,
    next: Revision,
    /// Not told yet; at most one more than the batches of one step.
    found: VecDeque<Change>,
}

impl Sieve {
    /// For what lies under `prefix` from revision `from` on.
    pub(crate) fn new(prefix: Key, from: Revision) -> Self {
        Self { prefix, next: from.max(Revision::ZERO.next()), found: VecDeque::new() }
    }

    /// The first revision not looked at yet.
    pub(crate) const fn next(&self) -> Revision {
        self.next
    }

    /// The next thing to tell.
    pub(crate) fn pop(&mut self) -> Option<Change> {
        self.found.pop_front()
    }

    /// Keeps what is under the prefix, and how far the history is when its end at `head` was not.
    pub(crate) fn sift(&mut self, batches: &[Arc<Batch>], head: Revision) {
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
