//! What a service's requests came to, counted without locks.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::shard::{self, SHARDS};

/// Upper bounds of the latency buckets, in microseconds; one more bucket holds the rest.
pub const LATENCY_BOUNDS_MICROS: [u64; 12] =
    [500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 5_000_000];

const BUCKETS: usize = LATENCY_BOUNDS_MICROS.len() + 1;

/// One service's counters, split by thread so that threads do not fight over one cache line.
#[derive(Debug, Default)]
pub(crate) struct Traffic {
    shards: [Shard; SHARDS],
}

#[derive(Debug, Default)]
#[repr(align(128))]
struct Shard {
    by_class: [AtomicU64; 5],
    router_errors: AtomicU64,
    retries: AtomicU64,
    micros: AtomicU64,
    buckets: [AtomicU64; BUCKETS],
}

/// What one service's counters say. They only grow while the service is known.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TrafficReading {
    /// Responses by the hundreds of their status: 1xx, 2xx, … 5xx. Pages of the router count too.
    pub by_class: [u64; 5],
    /// Requests that the router itself answered with 502, 503 or 504.
    pub router_errors: u64,
    /// Requests that were tried a second time.
    pub retries: u64,
    /// Sum of the times from request to response header, in microseconds.
    pub micros: u64,
    /// Responses by that time, not cumulative; see [`LATENCY_BOUNDS_MICROS`].
    pub buckets: [u64; BUCKETS],
}

impl TrafficReading {
    /// All responses.
    #[must_use]
    pub fn requests(&self) -> u64 {
        self.by_class.iter().sum()
    }
}

impl Traffic {
    /// Counts a response with its time from request to response header.
    pub(crate) fn count(&self, status: u16, elapsed: Duration, is_page: bool) {
        let shard = &self.shards[shard::own()];
        let class = usize::from(status / 100).clamp(1, 5) - 1;
        shard.by_class[class].fetch_add(1, Ordering::Relaxed);
        let micros = u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX);
        shard.micros.fetch_add(micros, Ordering::Relaxed);
        let bucket = LATENCY_BOUNDS_MICROS.partition_point(|&bound| bound < micros);
        shard.buckets[bucket].fetch_add(1, Ordering::Relaxed);
        if is_page {
            shard.router_errors.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(crate) fn count_retry(&self) {
        self.shards[shard::own()].retries.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn read(&self) -> TrafficReading {
        let mut sum = TrafficReading::default();
        let add = |total: &mut u64, counter: &AtomicU64| *total += counter.load(Ordering::Relaxed);
        for shard in &self.shards {
            sum.by_class.iter_mut().zip(&shard.by_class).for_each(|(total, counter)| add(total, counter));
            sum.buckets.iter_mut().zip(&shard.buckets).for_each(|(total, counter)| add(total, counter));
            add(&mut sum.router_errors, &shard.router_errors);
            add(&mut sum.retries, &shard.retries);
            add(&mut sum.micros, &shard.micros);
        }
        sum
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_response_falls_into_one_class_and_one_bucket() {
        let traffic = Traffic::default();
        traffic.count(204, Duration::from_micros(500), false);
        traffic.count(502, Duration::from_micros(501), true);
        traffic.count(404, Duration::from_secs(60), false);
        let reading = traffic.read();
        assert_eq!((reading.by_class, reading.requests()), ([0, 1, 0, 1, 1], 3));
        assert_eq!((reading.buckets[0], reading.buckets[1], reading.buckets[BUCKETS - 1]), (1, 1, 1));
        assert_eq!((reading.router_errors, reading.micros), (1, 60_001_001));
    }
}
