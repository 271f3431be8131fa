//! When leases end: monotonic time, in memory only.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use crate::LeaseId;

/// Ends written in one group; the rest is due at once again.
const MOST_DUE: usize = 10_000;

#[derive(Debug)]
struct Timer {
    /// None: until revoked.
    ttl: Option<Duration>,
    deadline: Option<Instant>,
    /// Due; its end is being written, and nothing revives it.
    is_ending: bool,
    lost: CancellationToken,
}

/// All living leases.
#[derive(Debug, Default)]
pub(super) struct Timers {
    timers: BTreeMap<LeaseId, Timer>,
    due: BTreeSet<(Instant, LeaseId)>,
}

impl Timers {
    /// A lease begins.
    pub(super) fn insert(
        &mut self,
        lease: LeaseId,
        ttl: Option<Duration>,
        lost: CancellationToken,
        now: Instant,
    ) {
        let deadline = ttl.map(|ttl| now + ttl);
        if let Some(deadline) = deadline {
            self.due.insert((deadline, lease));
        }
        self.timers.insert(lease, Timer { ttl, deadline, is_ending: false, lost });
    }

    /// A sign of life: the full TTL again, or `None` if the lease has ended or never had one.
    pub(super) fn keep_alive(&mut self, lease: LeaseId, now: Instant) -> Option<Duration> {
        let timer = self.timers.get_mut(&lease).filter(|timer| !timer.is_ending)?;
        let ttl = timer.ttl?;
        Self::move_deadline(&mut self.due, timer, lease, now + ttl);
        Some(ttl)
    }

    /// The leases whose time is over; their end must now be written, then told to [`Timers::ended`], or to
    /// [`Timers::retry`] when it could not be.
    pub(super) fn take_due(&mut self, now: Instant) -> Vec<LeaseId> {
        let mut due = Vec::new();
        while let Some(&(deadline, lease)) = self.due.first()
            && deadline <= now
            && due.len() < MOST_DUE
        {
            self.due.pop_first();
            let timer = self.timers.get_mut(&lease).expect("a due lease has a timer");
            timer.is_ending = true;
            timer.deadline = None;
            due.push(lease);
        }
        due
    }

    /// The end of a due lease could not be written: due again at `at`.
    pub(super) fn retry(&mut self, lease: LeaseId, at: Instant) {
        if let Some(timer) = self.timers.get_mut(&lease) {
            Self::move_deadline(&mut self.due, timer, lease, at);
        }
    }

    /// A lease has ended, for whatever reason.
    pub(super) fn ended(&mut self, lease: LeaseId) {
        let Some(timer) = self.timers.remove(&lease) else { return };
        if let Some(deadline) = timer.deadline {
            self.due.remove(&(deadline, lease));
        }
        timer.lost.cancel();
    }

    /// When [`Timers::take_due`] next has something.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.due.first().map(|&(deadline, _)| deadline)
    }

    /// Nobody can know any more whether the leases live.
    pub(super) fn lose_all(&mut self) {
        self.due.clear();
        for timer in std::mem::take(&mut self.timers).into_values() {
            timer.lost.cancel();
        }
    }

    fn move_deadline(due: &mut BTreeSet<(Instant, LeaseId)>, timer: &mut Timer, lease: LeaseId, to: Instant) {
        if let Some(old) = timer.deadline.replace(to) {
            due.remove(&(old, lease));
        }
        due.insert((to, lease));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: LeaseId = LeaseId::new(1);
    const B: LeaseId = LeaseId::new(2);
    const SECOND: Duration = Duration::from_secs(1);

    fn timers(now: Instant) -> Timers {
        let mut timers = Timers::default();
        timers.insert(A, Some(SECOND), CancellationToken::new(), now);
        timers.insert(B, None, CancellationToken::new(), now);
        timers
    }

    #[test]
    fn a_lease_is_due_one_ttl_after_the_last_sign_of_life() {
        let now = Instant::now();
        let mut timers = timers(now);
        assert_eq!(timers.next_due(), Some(now + SECOND));
        assert_eq!(timers.keep_alive(A, now + SECOND / 2), Some(SECOND));
        assert_eq!(timers.take_due(now + SECOND), []);
        assert_eq!(timers.take_due(now + SECOND * 3 / 2), [A]);
    }

    #[test]
    fn nothing_revives_a_due_lease_and_its_end_is_tried_again() {
        let now = Instant::now();
        let mut timers = timers(now);
        assert_eq!(timers.take_due(now + SECOND), [A]);
        assert_eq!(timers.keep_alive(A, now + SECOND), None);
        timers.retry(A, now + SECOND * 2);
        assert_eq!(timers.next_due(), Some(now + SECOND * 2));
        assert_eq!(timers.keep_alive(A, now + SECOND), None);
        assert_eq!(timers.take_due(now + SECOND * 2), [A]);
        timers.ended(A);
        assert_eq!(timers.next_due(), None);
    }

    #[test]
    fn a_lease_without_ttl_is_never_due() {
        let now = Instant::now();
        let mut timers = timers(now);
        timers.ended(A);
        assert_eq!(timers.next_due(), None);
        assert_eq!(timers.keep_alive(B, now), None);
    }
}
