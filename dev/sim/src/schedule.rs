//! What will happen, in order of time; what was scheduled first comes first.

use std::collections::BTreeMap;

use kogge_model::time::Timestamp;

/// A queue of future events.
#[derive(Debug, Clone)]
pub(crate) struct Schedule<E> {
    next: u64,
    events: BTreeMap<(Timestamp, u64), E>,
}

impl<E> Default for Schedule<E> {
    fn default() -> Self {
        Self { next: 0, events: BTreeMap::new() }
    }
}

impl<E> Schedule<E> {
    pub(crate) fn at(&mut self, at: Timestamp, event: E) {
        self.events.insert((at, self.next), event);
        self.next += 1;
    }

    pub(crate) fn first(&self) -> Option<Timestamp> {
        self.events.keys().next().map(|(at, _)| *at)
    }

    pub(crate) fn pop(&mut self) -> Option<E> {
        self.events.pop_first().map(|(_, event)| event)
    }
}
