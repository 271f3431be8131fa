//! Runtime work in a child of its own.
//!
//! Setting up a container or an exec forks, waits, changes the caller's `oom_score_adj` and dumpability and
//! fills its heap. So a forked helper does it and ends; the supervisor stays small, goes on with the logs, and
//! inherits the new process, being the subreaper. The report comes before the helper ends, hence before the
//! supervisor can see the new process end.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::panic::{AssertUnwindSafe, catch_unwind};

use nix::sys::signal::{SigHandler, SigSet, Signal, signal};
use nix::unistd::{ForkResult, Pid};
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
use serde::{Deserialize, Serialize};

use super::chain;
use crate::engine::Joined;
use crate::{socket, sys};

/// The longest report, in bytes.
const MAX_REPORT_BYTES: usize = 16 * 1024;

/// Longer errors are cut: a character takes at most six bytes in JSON.
const MAX_ERROR_CHARS: usize = 2_000;

/// A running helper.
#[derive(Debug)]
pub(super) struct Helper {
    pid: Pid,
    report: OwnedFd,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Report {
    Pid(i32),
    Error(String),
}

impl Helper {
    /// Forks and lets the child do `job`. The error's whole chain is reported.
    pub(super) fn start<E>(job: impl FnOnce() -> Result<Joined, E>) -> io::Result<Self>
    where
        E: std::error::Error,
    {
        let (ours, theirs) =
            socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
        rustix::io::ioctl_fionbio(&ours, true)?;
        let shim = nix::unistd::getpid();
        // SAFETY: the shim has a single thread, so the child's copy of the heap and of all locks is consistent.
        #[expect(unsafe_code, reason = "a helper is a fork by nature")]
        let forked = unsafe { nix::unistd::fork() };
        match forked? {
            ForkResult::Parent { child } => Ok(Self { pid: child, report: ours }),
            ForkResult::Child => {
                drop(ours);
                let outcome = catch_unwind(AssertUnwindSafe(|| {
                    shed_inheritance();
                    // Nobody would know of what it started.
                    if !sys::die_with(shim) {
                        return Err("the supervisor has gone".to_owned());
                    }
                    job().map_err(|error| chain(&error))
                }));
                report(&theirs, outcome.unwrap_or_else(|_| Err("the helper panicked".to_owned())));
                // SAFETY: ends this process at once; nothing of the parent's state is torn down twice.
                #[expect(unsafe_code, reason = "exit handlers belong to the parent")]
                unsafe {
                    libc::_exit(0)
                }
            }
        }
    }

    pub(super) const fn pid(&self) -> Pid {
        self.pid
    }

    pub(super) fn report(&self) -> BorrowedFd<'_> {
        self.report.as_fd()
    }

    /// The report, or none if it has not come yet.
    pub(super) fn outcome(&self) -> Option<Result<Joined, String>> {
        let mut buffer = vec![0; MAX_REPORT_BYTES];
        let mut fds = Vec::new();
        let bytes = match socket::receive(&self.report, &mut buffer, &mut fds) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return None,
            Err(error) => return Some(Err(format!("cannot read the helper's report: {error}"))),
        };
        if bytes == 0 {
            return Some(Err("the helper ended without a report".to_owned()));
        }
        Some(match serde_json::from_slice(&buffer[..bytes]) {
            Ok(Report::Pid(pid)) => Ok(Joined { pid: Pid::from_raw(pid), terminal: fds.pop() }),
            Ok(Report::Error(text)) => Err(text),
            Err(error) => Err(format!("cannot understand the helper's report: {error}")),
        })
    }
}

fn report(to: &OwnedFd, outcome: Result<Joined, String>) {
    let (report, terminal) = match outcome {
        Ok(launched) => (Report::Pid(launched.pid.as_raw()), launched.terminal),
        Err(text) => (Report::Error(text.chars().take(MAX_ERROR_CHARS).collect()), None),
    };
    let text = serde_json::to_vec(&report).expect("a report is plain data");
    let fds: Vec<BorrowedFd<'_>> = terminal.iter().map(AsFd::as_fd).collect();
    // Nobody is left to be told if the supervisor has gone.
    let _ = socket::send(to, &text, &fds);
}

/// What the supervisor blocks, ignores and protects itself with must not be inherited by the task.
fn shed_inheritance() {
    for number in Signal::iterator().filter(|number| !matches!(number, Signal::SIGKILL | Signal::SIGSTOP)) {
        // SAFETY: the default action installs no handler of ours.
        #[expect(unsafe_code, reason = "changing a signal's action is unsafe in general")]
        let _ = unsafe { signal(number, SigHandler::SigDfl) };
    }
    let _ = SigSet::all().thread_unblock();
    // The spec's own value, if it has one, is set by the runtime afterwards.
    let _ = std::fs::write("/proc/self/oom_score_adj", "0");
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o022));
}
