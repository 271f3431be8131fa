//! A timer that tells a time since the boot, also after the machine has slept. A fork shares it: whoever arms it, arms
//! it for both.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use rustix::time::{Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec};

#[derive(Debug)]
pub(super) struct LeaseTimer(OwnedFd);

impl LeaseTimer {
    /// Not armed.
    pub(super) fn new() -> io::Result<Self> {
        let flags = TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK;
        Ok(Self(rustix::time::timerfd_create(TimerfdClockId::Boottime, flags)?))
    }

    /// Readable from that time on, and not before, until it is armed anew.
    pub(super) fn arm(&self, at: Duration) -> io::Result<()> {
        // Nothing but zero would disarm it.
        let at = at.max(Duration::from_nanos(1));
        let zero = Timespec { tv_sec: 0, tv_nsec: 0 };
        let seconds = i64::try_from(at.as_secs()).unwrap_or(i64::MAX);
        let at = Timespec { tv_sec: seconds, tv_nsec: at.subsec_nanos().into() };
        let flags = TimerfdTimerFlags::ABSTIME;
        rustix::time::timerfd_settime(&self.0, flags, &Itimerspec { it_interval: zero, it_value: at })?;
        Ok(())
    }

    pub(super) fn is_due(&self) -> bool {
        let mut fds = [PollFd::new(self.as_fd(), PollFlags::POLLIN)];
        poll(&mut fds, PollTimeout::ZERO).is_ok_and(|ready| ready > 0)
    }
}

impl AsFd for LeaseTimer {
    /// Readable when it is due.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
