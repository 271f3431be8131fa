//! Ends a single copy when its shim is not there to do it: killed, or standing still (G9).
//!
//! ```text
//!  shim ── arms the timer of both at each renewal ──▶ watchdog ── the lease is as good as over ──▶ SIGKILL to the cgroup,
//!    └──── closes the pipe by its death ────────────────┘          again and again, until nobody is left and no shim either
//! ```
//!
//! A fork of the shim that was made before anything of the task was, so it holds nothing but the pipe and the timer.
//! It uses no agent and no server, and asks the shim nothing.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::wait::{Id, WaitPidFlag, waitid};
use nix::unistd::ForkResult;
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use super::lease_timer::LeaseTimer;
use super::prepare::leave_stdout;
use crate::cgroup::Cgroup;
use crate::config::LeaseTerms;
use crate::sys;

/// Between two SIGKILLs after the end of the lease, in ms.
const AGAIN_MS: u16 = 100;

/// Between two looks at who is left without a shim while the lease lasts, in ms.
const LOOK_MS: u16 = 1_000;

/// What the shim holds of its watchdog: dropped, the watchdog ends.
#[derive(Debug)]
pub(super) struct Watchdog {
    process: OwnedFd,
    timer: LeaseTimer,
    /// Before the end of the lease.
    margin: Duration,
    /// Closed by the shim's death, however that comes.
    _life: OwnedFd,
}

impl Watchdog {
    /// Begins to watch over what runs in `cgroup`, now or later.
    ///
    /// # Errors
    /// When the machine has no process or descriptor left.
    pub(super) fn start(cgroup: &Cgroup, terms: LeaseTerms) -> io::Result<Self> {
        let timer = LeaseTimer::new()?;
        let margin = Duration::from_millis(terms.dying_ms / 2);
        timer.arm(Duration::from_millis(terms.until_ms).saturating_sub(margin))?;
        let (shim_lives, life) = pipe_with(PipeFlags::CLOEXEC)?;
        // SAFETY: the shim has a single thread, so the child's copy of the heap and of all locks is consistent.
        #[expect(unsafe_code, reason = "a watchdog is a fork by nature")]
        let forked = unsafe { nix::unistd::fork() };
        match forked? {
            ForkResult::Parent { child } => {
                let child = Pid::from_raw(child.as_raw()).expect("a child has a process id");
                Ok(Self { process: pidfd_open(child, PidfdFlags::empty())?, timer, margin, _life: life })
            }
            ForkResult::Child => {
                let _ = nix::sys::prctl::set_name(c"kogge-watchdog");
                let _ = rustix::process::setsid();
                keep_only([shim_lives.as_raw_fd(), timer.as_fd().as_raw_fd()]);
                watch(cgroup, &timer, shim_lives.as_fd());
                // SAFETY: ends this process at once; nothing of the parent's state is torn down twice.
                #[expect(unsafe_code, reason = "exit handlers belong to the parent")]
                unsafe {
                    libc::_exit(0)
                }
            }
        }
    }

    /// The lease lasts until then, counted since the boot.
    ///
    /// # Errors
    /// When the timer cannot be set.
    pub(super) fn renew(&self, until: Duration) -> io::Result<()> {
        self.timer.arm(until.saturating_sub(self.margin))
    }
}

impl Drop for Watchdog {
    /// Without a trace: it is waited for as well.
    fn drop(&mut self) {
        let _ = pidfd_send_signal(&self.process, Signal::KILL);
        let _ = waitid(Id::PIDFd(self.process.as_fd()), WaitPidFlag::WEXITED);
    }
}

/// Until the shim ends it, or both the shim and the task are gone.
fn watch(cgroup: &Cgroup, timer: &LeaseTimer, shim_lives: BorrowedFd<'_>) {
    let (mut is_alone, mut is_over) = (false, false);
    loop {
        let mut fds = vec![PollFd::new(timer.as_fd(), PollFlags::POLLIN)];
        if !is_alone {
            fds.push(PollFd::new(shim_lives, PollFlags::POLLIN));
        }
        let patience = match (is_over, is_alone) {
            // The timer stays readable.
            (true, _) => {
                fds.remove(0);
                PollTimeout::from(AGAIN_MS)
            }
            (false, true) => PollTimeout::from(LOOK_MS),
            (false, false) => PollTimeout::NONE,
        };
        let _ = poll(&mut fds, patience);
        // Whoever was at starting the task has died with the shim: nobody comes after the last one.
        if is_alone && cgroup.processes().is_ok_and(|left| left.is_empty()) {
            return;
        }
        is_alone = is_alone || has_ended(shim_lives);
        is_over = is_over || timer.is_due();
        if is_over {
            let _ = cgroup.kill_all();
        }
    }
}

/// Whether the other end of the pipe was closed; nothing is ever written to it.
fn has_ended(life: BorrowedFd<'_>) -> bool {
    let mut fds = [PollFd::new(life, PollFlags::empty())];
    poll(&mut fds, PollTimeout::ZERO).is_ok_and(|ready| ready > 0)
}

/// Leaves everything else that was inherited: whoever waits for the end of the shim waits for its descriptors, too.
fn keep_only(kept: [RawFd; 2]) {
    leave_stdout();
    let (low, high) = (kept[0].min(kept[1]).unsigned_abs(), kept[0].max(kept[1]).unsigned_abs());
    for (first, last) in [(3, low - 1), (low + 1, high - 1), (high + 1, u32::MAX)] {
        if first <= last {
            let _ = sys::close_range(first, last);
        }
    }
}
