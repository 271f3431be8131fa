//! The newest batches, for watches that are behind.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::{Batch, Event, Revision};

/// How much of it is kept.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    pub(super) batches: usize,
    pub(super) bytes: usize,
}

/// Old batches, as far as they exist.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Past {
    /// Without gaps from the revision asked for; none if it is the next one.
    Batches(Vec<Arc<Batch>>),
    /// The revision asked for is older than this, or lies in a future that is not ours.
    Gone { oldest: Revision },
}

/// See the module.
#[derive(Debug)]
pub(super) struct History {
    /// Without gaps, the last one the newest there is.
    batches: VecDeque<Arc<Batch>>,
    bytes: usize,
    bounds: Bounds,
    /// A watch may start from here; at most the revision after the last.
    oldest: Revision,
}

impl History {
    /// Of which only what comes from `oldest` on will be known.
    pub(super) fn new(oldest: Revision, bounds: Bounds) -> Self {
        Self { batches: VecDeque::new(), bytes: 0, bounds, oldest }
    }

    pub(super) const fn oldest(&self) -> Revision {
        self.oldest
    }

    pub(super) fn push(&mut self, batch: Arc<Batch>) {
        self.bytes += size(&batch);
        self.batches.push_back(batch);
        // The last one stays: it carries the revision.
        while self.batches.len() > 1
            && (self.batches.len() > self.bounds.batches || self.bytes > self.bounds.bytes)
        {
            self.drop_first();
        }
    }

    /// Drops batches below `before`.
    pub(super) fn compact(&mut self, before: Revision) {
        while self.batches.front().is_some_and(|batch| batch.revision < before) {
            self.drop_first();
        }
    }

    /// Up to `most` batches from `from` on; `head` is the last revision.
    pub(super) fn since(&self, from: Revision, head: Revision, most: usize) -> Past {
        if from < self.oldest || from > head.next() {
            return Past::Gone { oldest: self.oldest };
        }
        let Some(first) = self.batches.front() else { return Past::Batches(Vec::new()) };
        let skip = from.get().saturating_sub(first.revision.get());
        let skip = usize::try_from(skip).unwrap_or(usize::MAX);
        Past::Batches(self.batches.iter().skip(skip).take(most).cloned().collect())
    }

    fn drop_first(&mut self) {
        if let Some(batch) = self.batches.pop_front() {
            self.bytes -= size(&batch);
            self.oldest = batch.revision.next();
        }
    }
}

fn size(batch: &Batch) -> usize {
    let event_size = |event: &Event| match event {
        Event::Put(entry) => size_of::<Event>() + entry.key.len() + entry.value.len(),
        Event::Delete { key } => size_of::<Event>() + key.len(),
    };
    batch.events.iter().map(event_size).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn history(batches: usize) -> History {
        let mut history = History::new(Revision::new(1), Bounds { batches, bytes: usize::MAX });
        for n in 1..=5 {
            let events = vec![Event::Delete { key: "k".into() }];
            history.push(Arc::new(Batch { revision: Revision::new(n), events }));
        }
        history
    }

    fn revisions(past: Past) -> Vec<u64> {
        match past {
            Past::Batches(batches) => batches.iter().map(|batch| batch.revision.get()).collect(),
            Past::Gone { oldest } => vec![0, oldest.get()],
        }
    }

    #[test]
    fn a_bounded_history_tells_what_it_still_has() {
        let (history, head) = (history(3), Revision::new(5));
        let since = |from: u64| revisions(history.since(Revision::new(from), head, 2));
        assert_eq!(since(2), [0, 3], "gone");
        assert_eq!(since(3), [3, 4]);
        assert_eq!(since(5), [5]);
        assert_eq!(since(6), [0u64; 0]);
        assert_eq!(since(7), [0, 3], "a future that never was");
    }

    #[test]
    fn a_compaction_drops_what_is_below_it() {
        let mut history = history(10);
        history.compact(Revision::new(4));
        assert_eq!(history.oldest(), Revision::new(4));
        history.compact(Revision::new(99));
        assert_eq!(history.oldest(), Revision::new(6));
    }
}
