//! The lease of a single-copy task (G9): enforced here, and by a watchdog where the shim cannot.
//!
//! ```text
//!  Held ── notice before the end ──▶ Asked (SIGTERM) ── the end is near ──▶ Killed (SIGKILL, again and again)
//!    └─▶ renewed: Held until later
//! ```

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use kogge_host::clock::since_boot;

use super::lease_timer::LeaseTimer;
use super::watchdog::Watchdog;
use crate::config::LeaseTerms;

/// Between two SIGKILLs.
const AGAIN: Duration = Duration::from_millis(200);

/// A lease, and who ends the task in the shim's stead.
#[derive(Debug)]
pub(super) struct Tenancy {
    until: Duration,
    notice: Duration,
    dying: Duration,
    stage: Stage,
    timer: LeaseTimer,
    watchdog: Option<Watchdog>,
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
        let tenancy = Self {
            until: Duration::from_millis(terms.until_ms),
            notice: Duration::from_millis(terms.notice_ms),
            dying: Duration::from_millis(terms.dying_ms),
            stage: Stage::Held,
            timer: LeaseTimer::new()?,
            watchdog: None,
        };
        tenancy.arm()?;
        Ok(tenancy)
    }

    /// With somebody who ends the task when the shim does not.
    pub(super) fn guarded_by(self, watchdog: Watchdog) -> Self {
        Self { watchdog: Some(watchdog), ..self }
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
        if let Some(watchdog) = &self.watchdog {
            watchdog.renew(self.until)?;
        }
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
        self.timer.arm(self.next())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tenancy(until_in_ms: u64) -> Tenancy {
        let now_ms = u64::try_from(since_boot().as_millis()).unwrap();
        let terms = LeaseTerms { until_ms: now_ms + until_in_ms, notice_ms: 300, dying_ms: 100 };
        Tenancy::new(terms).unwrap()
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
