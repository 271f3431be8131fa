//! The rest between two questions of somebody who asks all the while.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Can be made longer while they ask.
#[derive(Debug)]
pub(super) struct Pause(AtomicU64);

impl Pause {
    pub(super) fn new(span: Duration) -> Self {
        Self(AtomicU64::new(millis(span)))
    }

    pub(super) fn set(&self, span: Duration) {
        self.0.store(millis(span), Ordering::Relaxed);
    }

    pub(super) fn get(&self) -> Duration {
        Duration::from_millis(self.0.load(Ordering::Relaxed))
    }
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}
