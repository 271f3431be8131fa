//! The lease of a single-copy task (G9): how long it may live without word from its cluster.
//!
//! ```text
//!  asked    granted                      SIGTERM      SIGKILL            replaced
//!    │────────│────────────────────────────│────────────│──┤               │
//!    0        at most so late as the ask   ¾         length              length + margin after the grant
//! ```
//!
//! The agent asks, and counts from when it asked; the leader grants, and counts from when it granted. So however late
//! a message is, the task is dead before the leader believes it to be.

use std::time::Duration;

/// The length of a lease when nothing else is asked for.
pub const DEFAULT_LEASE_MS: u64 = 20_000;

/// Shorter ones leave no time to ask twice. One of less than 8 s may run out while a dead leader is replaced, one of less
/// than 15 s while a silent one is: the copy is then stopped and started again, never doubled.
pub const SHORTEST_LEASE_MS: u64 = 2_000;

/// Longer ones would keep a service down for longer than anybody waits.
pub const LONGEST_LEASE_MS: u64 = 600_000;

/// The least time that the leader waits on top.
const LEAST_MARGIN: Duration = Duration::from_secs(2);

/// SIGKILL comes so long before the end at most, so that the dying is over by then.
const MOST_DYING: Duration = Duration::from_millis(500);

/// The times of a lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lease {
    length: Duration,
}

impl Lease {
    /// A lease of `millis`.
    #[must_use]
    pub const fn new(millis: u64) -> Self {
        Self { length: Duration::from_millis(millis) }
    }

    /// From the ask until the task is dead.
    #[must_use]
    pub const fn length(self) -> Duration {
        self.length
    }

    /// Between two asks.
    #[must_use]
    pub fn renewal(self) -> Duration {
        self.length / 4
    }

    /// From the grant until another copy may start: clocks run apart by 1 %, and killing takes its time.
    #[must_use]
    pub fn replacement(self) -> Duration {
        self.length + (self.length / 10).max(LEAST_MARGIN)
    }

    /// A task is not started with less than this left.
    #[must_use]
    pub fn least_to_start(self) -> Duration {
        self.length / 2
    }

    /// Before the end, SIGKILL is sent.
    #[must_use]
    pub fn dying(self) -> Duration {
        (self.length / 8).min(MOST_DYING)
    }

    /// Before the end, the task is asked to end, if its grace is `grace`.
    #[must_use]
    pub fn notice(self, grace: Duration) -> Duration {
        self.dying() + grace.min(self.length / 4)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_lease_has_the_times_of_the_guarantees() {
        let lease = Lease::new(DEFAULT_LEASE_MS);
        let millis = [lease.length(), lease.renewal(), lease.replacement()].map(|time| time.as_millis());
        assert_eq!(millis, [20_000, 5_000, 22_000]);
        assert_eq!(lease.notice(Duration::from_secs(10)), Duration::from_millis(5_500));
    }

    #[test]
    fn a_task_is_dead_before_it_is_replaced_though_clocks_run_apart() {
        for millis in [SHORTEST_LEASE_MS, DEFAULT_LEASE_MS, LONGEST_LEASE_MS] {
            let lease = Lease::new(millis);
            assert!(lease.length() * 101 / 100 < lease.replacement() * 99 / 100, "{millis}");
            assert!(lease.notice(Duration::MAX) < lease.least_to_start(), "{millis}");
            assert!(lease.renewal() * 2 + lease.notice(Duration::MAX) < lease.length(), "{millis}");
        }
    }
}
