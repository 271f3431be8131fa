//! Signals of the shim itself, and the ends of its children: the task, execs, helpers, orphans.

use std::fs;
use std::time::{Duration, Instant};

use kogge_host::clock;
use nix::sys::signal::Signal;
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid, waitpid};
use nix::unistd::Pid;

use super::connection::Pending;
use super::ending::{exit_of, verdict};
use super::supervisor::{Supervisor, Task};
use super::tenancy::Tenancy;
use crate::cgroup::Cgroup;
use crate::protocol::{Answer, EndedTask, PROTOCOL_VERSION};
use crate::sys;

/// Ends of unknown processes that are remembered; orphans of the task are among them.
const MAX_EARLY: usize = 1_024;

/// How long a task may take to end by itself when the machine shuts down and tells its shim to end.
const TERMINATE_PATIENCE: Duration = Duration::from_secs(5);

/// How long children that were killed are waited for: they may hang in the kernel, and die when that lets them.
const DYING_PATIENCE: Duration = Duration::from_secs(2);

/// Between two looks at who is left.
const DYING_INTERVAL: Duration = Duration::from_millis(5);

/// Between two attempts to write `exit.json` on a disk in trouble.
const SAVE_EVERY: Duration = Duration::from_secs(1);

impl Supervisor {
    pub(super) fn read_signals(&mut self) {
        while let Ok(Some(info)) = self.signals.read_signal() {
            if info.ssi_signo == Signal::SIGTERM as u32 {
                self.terminate();
            }
        }
        self.reap();
    }

    /// The machine shuts down: the task is asked to end, then made to, then the shim ends.
    fn terminate(&mut self) {
        self.is_terminating = true;
        match &self.task {
            Task::Running { pid, .. } => {
                let _ = sys::signal_child(*pid, Signal::SIGTERM as i32);
                self.asked_signal = Some(Signal::SIGTERM as i32);
                self.kill_at.get_or_insert_with(|| Instant::now() + TERMINATE_PATIENCE);
            }
            Task::Starting(_) => self.kill_at = Some(Instant::now()),
            Task::Ended(_) => self.is_done = true,
        }
    }

    pub(super) fn reap(&mut self) {
        let first = match &self.task {
            // Its end must not be taken before it is known who it is.
            Task::Starting(helper) => return reap_only(helper.pid()),
            Task::Running { pid, .. } => Some(*pid),
            Task::Ended(_) => None,
        };
        // Everyone is handled first and reaped then: until that, its process id means nobody else.
        while let Some(status) = peek() {
            let Some(pid) = status.pid() else { break };
            if Some(pid) == first {
                self.task_ended(pid, status);
            } else if !self.end_exec(pid, status) {
                // Started by a helper that has ended since, so its report is there.
                self.collect_reports();
                if !self.end_exec(pid, status) && self.early.len() < MAX_EARLY {
                    self.early.push((pid, status));
                }
            }
            let _ = waitpid(pid, Some(WaitPidFlag::WNOHANG));
        }
    }

    fn task_ended(&mut self, pid: Pid, status: WaitStatus) {
        let (Task::Running { started_at, .. }, Some(exit)) = (&self.task, exit_of(status)) else { return };
        let started_at = *started_at;
        let oom_kills = self.cgroup.oom_kills().unwrap_or(0);
        self.logs.drain();
        let (exit, mut reason) = verdict(exit, oom_kills, self.asked_signal);
        let is_lease_over = self.tenancy.as_ref().is_some_and(Tenancy::is_over);
        if is_lease_over {
            reason = format!("cut off from the cluster for longer than its lease ({reason})");
        }
        let ended = EndedTask {
            v: PROTOCOL_VERSION,
            task: self.config.task.clone(),
            run: self.config.run,
            pid: pid.as_raw().unsigned_abs(),
            started_at,
            ended_at: clock::now(),
            exit,
            reason,
            oom_kills,
            is_lease_over,
            logged: self.logs.logged(),
            log_lost: self.logs.lost(),
        };
        self.task = Task::Ended(Box::new(ended));
        self.kill_at = None;
        // With its watchdog: there is nothing left to end.
        self.tenancy = None;
        self.save_ended(Instant::now());
    }

    /// Persist, then tell.
    pub(super) fn save_ended(&mut self, now: Instant) {
        let Task::Ended(ended) = &self.task else { return };
        let is_saved = ended.save(&self.dir).is_ok();
        self.save_at = (!is_saved).then(|| now + SAVE_EVERY);
        for connection in &mut self.connections {
            if matches!(connection.pending, Pending::End(_)) {
                connection.pending = Pending::Nothing;
                connection.answer(Answer::Ended((**ended).clone()), None);
            }
        }
        self.is_done |= is_saved && self.is_terminating;
    }
}

/// A child that has ended, without reaping it.
fn peek() -> Option<WaitStatus> {
    waitid(Id::All, WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT).ok()
}

/// Reaps a helper, and nobody else.
fn reap_only(helper: Pid) {
    let _ = waitid(Id::Pid(helper), WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG);
}

/// Kills whoever sets the task up, the task if it runs already, and all they have started: orphans come to the shim.
pub(super) fn end_all_children(cgroup: &Cgroup) {
    let deadline = Instant::now() + DYING_PATIENCE;
    while Instant::now() < deadline {
        let _ = cgroup.kill_all();
        for child in children() {
            let _ = sys::signal_child(child, Signal::SIGKILL as i32);
        }
        match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
            Err(_) => return,
            Ok(WaitStatus::StillAlive) => std::thread::sleep(DYING_INTERVAL),
            Ok(_) => {}
        }
    }
}

/// The shim's own, who cannot be somebody else before they are reaped (proc(5), `/proc/[pid]/task/[tid]/children`).
fn children() -> Vec<Pid> {
    let text = fs::read_to_string("/proc/thread-self/children").unwrap_or_default();
    text.split_ascii_whitespace().filter_map(|pid| pid.parse().ok()).map(Pid::from_raw).collect()
}
