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
        let next = first(opened, Instant::now(), every) + jitter(Duration::ZERO, every / 10);
        Self { next, every, bytes: segment_bytes.min(MAX_WIDE_BYTES) }
    }

    /// Waits until the next one is due. May be dropped and called again.
    pub(super) async fn due(&mut self) -> Bytes {
        if self.bytes == 0 {
            std::future::pending::<()>().await;
        }
        sleep_until(self.next).await;
        self.next = Instant::now().max(self.next) + self.every;
        Bytes::from_static(&ZEROS[..self.bytes])
    }
}

/// The first turn of a session that begins `now`: not at once, for then there is more to say.
fn first(opened: Instant, now: Instant, every: Duration) -> Instant {
    let mut turn = opened;
    let rounds = now.duration_since(opened).as_nanos() / every.as_nanos().max(1);
    turn += every.saturating_mul(u32::try_from(rounds).unwrap_or(u32::MAX));
    while turn < now + every / 2 {
        turn += every.max(Duration::from_millis(1));
    }
    turn
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVERY: Duration = Duration::from_secs(10);

    #[test]
    fn sessions_that_begin_at_different_times_have_the_same_turns() {
        let opened = Instant::now();
        for (begun_ms, turn_s) in
            [(0, 10), (4_999, 10), (5_000, 10), (5_001, 20), (14_000, 20), (99_000, 110)]
        {
            let begun = opened + Duration::from_millis(begun_ms);
            assert_eq!(first(opened, begun, EVERY) - opened, Duration::from_secs(turn_s), "{begun_ms} ms");
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
