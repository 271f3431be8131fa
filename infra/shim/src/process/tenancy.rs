//! The lease of a single-copy task (G9): enforced here, where nobody's death can stop it but the shim's own.
//!
//! ```text
//!  Held ── notice before the end ──▶ Asked (SIGTERM) ── the end is near ──▶ Killed (SIGKILL, again and again)
//!    └─▶ renewed: Held until later
//! ```

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use kogge_host::clock::since_boot;
use rustix::time::{Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec};

use crate::config::LeaseTerms;

/// Between two SIGKILLs.
const AGAIN: Duration = Duration::from_millis(200);

/// A lease, and the timer that tells its end also after the machine has slept.
#[derive(Debug)]
pub(super) struct Tenancy {
    until: Duration,
    notice: Duration,
    dying: Duration,
    stage: Stage,
    timer: OwnedFd,
}

/// How far the end has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Held,
    Asked,
    Killed { again_at: Duration },
}

/// What is to be done to the task now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Eviction {
    Ask,
    Kill,
}

impl Tenancy {
    pub(super) fn new(terms: LeaseTerms) -> io::Result<Self> {
        let flags = TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK;
        let tenancy = Self {
            until: Duration::from_millis(terms.until_ms),
            notice: Duration::from_millis(terms.notice_ms),
            dying: Duration::from_millis(terms.dying_ms),
            stage: Stage::Held,
            timer: rustix::time::timerfd_create(TimerfdClockId::Boottime, flags)?,
        };
        tenancy.arm()?;
        Ok(tenancy)
    }

    /// Readable when [`Tenancy::due`] may have something to do.
    pub(super) fn timer(&self) -> BorrowedFd<'_> {
        self.timer.as_fd()
    }

    /// Whether the task was told to end for want of a lease.
    pub(super) fn is_over(&self) -> bool {
        self.stage != Stage::Held
    }

    /// Moves the end; an earlier one than is known changes nothing. False when the end has begun: it is not taken back.
    pub(super) fn renew(&mut self, until_ms: u64) -> io::Result<bool> {
        if self.is_over() || self.next() <= since_boot() {
            return Ok(false);
        }
        self.until = self.until.max(Duration::from_millis(until_ms));
        self.arm()?;
        Ok(true)
    }

    /// What is due.
    pub(super) fn due(&mut self) -> Option<Eviction> {
        let now = since_boot();
        if self.next() > now {
            return None;
        }
        let is_near = self.until.saturating_sub(self.dying) <= now;
        self.stage = if is_near { Stage::Killed { again_at: now + AGAIN } } else { Stage::Asked };
        // The loop looks again whenever it wakes; a timer that cannot be set was set before.
        let _ = self.arm();
        Some(if is_near { Eviction::Kill } else { Eviction::Ask })
    }

    fn next(&self) -> Duration {
        match self.stage {
            Stage::Held => self.until.saturating_sub(self.notice),
            Stage::Asked => self.until.saturating_sub(self.dying),
            Stage::Killed { again_at } => again_at,
        }
    }

    fn arm(&self) -> io::Result<()> {
        // Nothing but zero would disarm it.
        let at = self.next().max(Duration::from_nanos(1));
        let zero = Timespec { tv_sec: 0, tv_nsec: 0 };
        let seconds = i64::try_from(at.as_secs()).unwrap_or(i64::MAX);
        let at = Timespec { tv_sec: seconds, tv_nsec: at.subsec_nanos().into() };
        let flags = TimerfdTimerFlags::ABSTIME;
        rustix::time::timerfd_settime(&self.timer, flags, &Itimerspec { it_interval: zero, it_value: at })?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tenancy(until_in_ms: u64) -> Tenancy {
        let now_ms = u64::try_from(since_boot().as_millis()).unwrap();
        Tenancy::new(LeaseTerms { until_ms: now_ms + until_in_ms, notice_ms: 300, dying_ms: 100 }).unwrap()
    }

    #[test]
    fn a_held_lease_asks_for_nothing_and_can_only_grow() {
        let mut tenancy = tenancy(60_000);
        assert_eq!(tenancy.due(), None);
        let until = tenancy.until;
        assert!(tenancy.renew(1).unwrap());
        assert_eq!(tenancy.until, until);
    }

    #[test]
    fn the_end_begins_once_and_is_not_taken_back() {
        let mut tenancy = tenancy(250);
        assert_eq!((tenancy.due(), tenancy.due()), (Some(Eviction::Ask), None));
        assert!(!tenancy.renew(u64::MAX).unwrap());
        let mut late = self::tenancy(50);
        assert!(!late.renew(u64::MAX).unwrap(), "its end is due though nobody has looked");
        assert_eq!(late.due(), Some(Eviction::Kill));
    }
}
