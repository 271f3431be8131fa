//! When leases end: monotonic time, in the memory of the one that looks after them.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use crate::LeaseId;

#[derive(Debug)]
struct Timer {
    ttl: Duration,
    deadline: Instant,
}

/// All living leases with a time.
#[derive(Debug, Default)]
pub(super) struct Timers {
    timers: BTreeMap<LeaseId, Timer>,
    due: BTreeSet<(Instant, LeaseId)>,
}

impl Timers {
    /// These leases live: new ones begin with their full time, others are forgotten.
    pub(super) fn set(&mut self, living: impl Iterator<Item = (LeaseId, Duration)>, now: Instant) {
        let mut old = std::mem::take(&mut self.timers);
        self.due.clear();
        for (lease, ttl) in living {
            let timer = old.remove(&lease).unwrap_or(Timer { ttl, deadline: now + ttl });
            self.due.insert((timer.deadline, lease));
            self.timers.insert(lease, timer);
        }
    }

    /// A sign of life: the full time again.
    pub(super) fn alive(&mut self, lease: LeaseId, now: Instant) {
        if let Some(ttl) = self.timers.get(&lease).map(|timer| timer.ttl) {
            self.move_to(lease, now + ttl);
        }
    }

    /// Due again at `at`.
    pub(super) fn retry(&mut self, lease: LeaseId, at: Instant) {
        if self.timers.contains_key(&lease) {
            self.move_to(lease, at);
        }
    }

    /// Up to `most` leases whose time is over.
    pub(super) fn due(&self, now: Instant, most: usize) -> Vec<LeaseId> {
        self.due
            .iter()
            .take_while(|(deadline, _)| *deadline <= now)
            .take(most)
            .map(|&(_, lease)| lease)
            .collect()
    }

    /// Whether the lease's time is over.
    pub(super) fn is_due(&self, lease: LeaseId, now: Instant) -> bool {
        self.timers.get(&lease).is_some_and(|timer| timer.deadline <= now)
    }

    /// When [`Timers::due`] next has something.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.due.first().map(|&(deadline, _)| deadline)
    }

    fn move_to(&mut self, lease: LeaseId, deadline: Instant) {
        let timer = self.timers.get_mut(&lease).expect("only known leases are moved");
        self.due.remove(&(timer.deadline, lease));
        timer.deadline = deadline;
        self.due.insert((deadline, lease));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: LeaseId = LeaseId::new(1);
    const B: LeaseId = LeaseId::new(2);
    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_lease_is_due_one_ttl_after_the_last_sign_of_life() {
        let now = Instant::now();
        let mut timers = Timers::default();
        timers.set([(A, SECOND), (B, SECOND * 10)].into_iter(), now);
        assert_eq!(timers.next_due(), Some(now + SECOND));
        timers.alive(A, now + SECOND / 2);
        assert_eq!(timers.due(now + SECOND, 9), []);
        assert_eq!(timers.due(now + SECOND * 3 / 2, 9), [A]);
        assert!(timers.is_due(A, now + SECOND * 3 / 2));
    }

    #[test]
    fn leases_that_go_on_keep_their_deadline_and_others_are_forgotten() {
        let now = Instant::now();
        let mut timers = Timers::default();
        timers.set([(A, SECOND)].into_iter(), now);
        timers.set([(A, SECOND), (B, SECOND)].into_iter(), now + SECOND / 2);
        assert_eq!(timers.due(now + SECOND, 9), [A]);
        timers.set([(B, SECOND)].into_iter(), now + SECOND);
        timers.retry(A, now);
        assert_eq!(timers.next_due(), Some(now + SECOND * 3 / 2));
    }
}
