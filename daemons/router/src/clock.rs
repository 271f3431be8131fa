//! A coarse clock: one atomic load instead of a system call.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Milliseconds since the router's start, as of the last tick. Ticks come from the sweeper, which runs while there
/// is any connection; whoever starts it advances the clock first.
#[derive(Debug)]
pub(crate) struct CoarseClock {
    start: Instant,
    now_ms: AtomicU64,
}

impl CoarseClock {
    pub(crate) fn new() -> Self {
        Self { start: Instant::now(), now_ms: AtomicU64::new(1) }
    }

    pub(crate) fn now_ms(&self) -> u64 {
        self.now_ms.load(Ordering::Relaxed)
    }

    /// Looks at the true clock. The result is never 0, which can so mean "never".
    pub(crate) fn advance(&self) -> u64 {
        let now = millis(self.start.elapsed()).saturating_add(1);
        self.now_ms.fetch_max(now, Ordering::Relaxed).max(now)
    }
}

/// A duration in whole milliseconds.
pub(crate) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
