//! Whether large packets arrive, too.
//!
//! Signs of life are small. Where somebody on the way carries less than both machines believe, and does not say so (a wrong
//! MTU), they go on for ever in a session in which nothing can be ordered. So a server says from time to time what fills
//! a whole packet, and the agent says as much back. TCP keeps the order: what does not arrive holds up all that is said
//! after it, the session falls silent as if the link were cut, and is given up for that.

use std::time::Duration;

use bytes::Bytes;
use tokio::time::{Instant, sleep_until};

use crate::bounds::MAX_WIDE_BYTES;
use crate::timing::jitter;

static ZEROS: [u8; MAX_WIDE_BYTES] = [0; MAX_WIDE_BYTES];

/// When a session's large packets are due, and how large they are.
pub(super) struct Wide {
    next: Instant,
    every: Duration,
    bytes: usize,
}

impl Wide {
    /// For a connection whose packets carry `segment_bytes`; 0 when that is not known, and nothing is ever due. All
    /// sessions of a server, which `opened` its door then, have their turn at about the same time: if the link of the
    /// server is the narrow one, its agents fall silent together, and none of them is taken for dead alone.
    pub(super) fn new(opened: Instant, every: Duration, segment_bytes: usize) -> Self {
        // Not at once, for in the beginning there is more to say.
        let next = turn_after(opened, Instant::now() + every / 2, every) + jitter(Duration::ZERO, every / 10);
        Self { next, every, bytes: segment_bytes.min(MAX_WIDE_BYTES) }
    }

    /// Waits until the next one is due. May be dropped and called again.
    pub(super) async fn due(&mut self) -> Bytes {
        if self.bytes == 0 {
            std::future::pending::<()>().await;
        }
        sleep_until(self.next).await;
        // Turns that were missed are left out, and those to come stay the same as other sessions' ones.
        self.next = turn_after(self.next, Instant::now(), self.every);
        Bytes::from_static(&ZEROS[..self.bytes])
    }
}

/// The first of the turns at `turn` and each `every` later that is after `now`.
fn turn_after(turn: Instant, now: Instant, every: Duration) -> Instant {
    let passed = now.saturating_duration_since(turn).as_nanos() / every.as_nanos().max(1);
    turn + every.saturating_mul(u32::try_from(passed).unwrap_or(u32::MAX).saturating_add(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVERY: Duration = Duration::from_secs(10);

    #[test]
    fn turns_are_the_same_for_whoever_asks_and_missed_ones_are_left_out() {
        let opened = Instant::now();
        for (begun_ms, turn_s) in
            [(0, 10), (4_999, 10), (9_999, 10), (10_000, 20), (14_000, 20), (99_000, 100)]
        {
            let now = opened + Duration::from_millis(begun_ms);
            assert_eq!(turn_after(opened, now, EVERY) - opened, Duration::from_secs(turn_s), "{begun_ms} ms");
        }
    }

    #[tokio::test]
    async fn a_turn_comes_each_time_and_is_no_larger_than_a_packet() {
        const SHORT: Duration = Duration::from_millis(50);
        let opened = Instant::now();
        let mut wide = Wide::new(opened, SHORT, 1_448);
        for turn in 1..=3 {
            // Whoever had something else to do meanwhile comes back to it.
            let _ = tokio::time::timeout(SHORT / 4, wide.due()).await;
            assert_eq!(wide.due().await.len(), 1_448);
            assert!(opened.elapsed() >= SHORT * turn, "turn {turn}");
        }
        let mut unknown = Wide::new(opened, SHORT, 0);
        assert!(tokio::time::timeout(SHORT * 4, unknown.due()).await.is_err());
        assert_eq!(Wide::new(opened, SHORT, 65_483).due().await.len(), MAX_WIDE_BYTES);
    }
}
