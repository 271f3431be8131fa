//! How fast a task's output is taken, so that a flood of it costs the machine little.
//!
//! A bucket of bytes that fills at a fixed rate. Each chunk takes its size out, a small one a minimum, so that
//! millions of tiny writes are slowed down as well: they pile up in the pipe and come as large chunks. When the
//! bucket is empty nothing is read for some milliseconds, and the task waits no longer than that.

use std::time::{Duration, Instant};

/// What a chunk costs at least: its wake-up and its two system calls.
const MIN_COST_BYTES: i64 = 16 * 1024;

/// How much must be in the bucket again before reading goes on.
const RESUME_BYTES: i64 = 64 * 1024;

/// How long the rate may be exceeded.
const BURST: Duration = Duration::from_millis(500);

/// The bucket.
#[derive(Debug)]
pub(super) struct Pace {
    bytes_per_second: i64,
    burst_bytes: i64,
    level_bytes: i64,
    filled_at: Instant,
    is_dry: bool,
}

impl Pace {
    pub(super) fn new(bytes_per_second: u64, now: Instant) -> Self {
        let bytes_per_second =
            i64::try_from(bytes_per_second).unwrap_or(i64::MAX / 1_000_000).max(MIN_COST_BYTES);
        let burst_bytes = gained(bytes_per_second, BURST).max(RESUME_BYTES);
        Self { bytes_per_second, burst_bytes, level_bytes: burst_bytes, filled_at: now, is_dry: false }
    }

    /// When reading may go on; none is now.
    pub(super) fn resume_at(&mut self, now: Instant) -> Option<Instant> {
        self.fill(now);
        if self.is_dry && self.level_bytes >= RESUME_BYTES {
            self.is_dry = false;
        }
        let missing = u64::try_from(RESUME_BYTES - self.level_bytes).unwrap_or(0);
        let rate = u64::try_from(self.bytes_per_second).expect("a rate is positive");
        self.is_dry.then(|| now + Duration::from_micros(missing.saturating_mul(1_000_000) / rate + 1))
    }

    /// Takes a chunk of `bytes` out.
    pub(super) fn spend(&mut self, bytes: usize) {
        self.level_bytes -= i64::try_from(bytes).unwrap_or(i64::MAX).max(MIN_COST_BYTES);
        self.is_dry |= self.level_bytes <= 0;
    }

    fn fill(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.filled_at).min(Duration::from_secs(1));
        self.level_bytes = (self.level_bytes + gained(self.bytes_per_second, passed)).min(self.burst_bytes);
        self.filled_at = now;
    }
}

fn gained(bytes_per_second: i64, passed: Duration) -> i64 {
    bytes_per_second.saturating_mul(i64::try_from(passed.as_micros()).unwrap_or(i64::MAX)) / 1_000_000
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes taken in `seconds` by a task that always has `chunk` bytes ready.
    fn taken(rate: u64, chunk: usize, seconds: u64) -> u64 {
        let begin = Instant::now();
        let mut now = begin;
        let mut pace = Pace::new(rate, now);
        let mut total = 0;
        while now < begin + Duration::from_secs(seconds) {
            match pace.resume_at(now) {
                Some(later) => {
                    assert!(later > now && later < now + Duration::from_millis(100), "a short pause");
                    now = later;
                }
                None => {
                    pace.spend(chunk);
                    total += u64::try_from(chunk).unwrap();
                }
            }
        }
        total
    }

    #[test]
    fn a_flood_is_held_to_the_rate_after_the_burst() {
        let total = taken(16 << 20, 64 << 10, 10);
        assert!((160 << 20..175 << 20).contains(&total), "{total}");
    }

    #[test]
    fn tiny_chunks_cost_more_than_their_size() {
        let chunks = taken(16 << 20, 10, 10) / 10;
        assert!(chunks < 11_000, "{chunks} wake-ups");
    }

    #[test]
    fn ordinary_output_is_never_held_up() {
        let mut now = Instant::now();
        let mut pace = Pace::new(16 << 20, now);
        for _ in 0..10_000 {
            assert_eq!(pace.resume_at(now), None);
            pace.spend(4_096);
            now += Duration::from_millis(2);
        }
    }
}
