//! The loop: signals, output, helpers, clients, time.

use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use kogge_host::clock;
use kogge_model::time::Timestamp;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::Signal;
use nix::sys::signalfd::SignalFd;
use nix::sys::wait::WaitStatus;
use nix::unistd::Pid;

use super::connection::{Connection, Pending, Received};
use super::exec::{Exec, ExecStage};
use super::helper::Helper;
use super::logs::Logs;
use super::prepare::leave_stdout;
use super::tenancy::Tenancy;
use super::{mounts, tell_spawner};
use crate::cgroup::Cgroup;
use crate::config::ShimConfig;
use crate::engine::{Container, Joined};
use crate::protocol::{Answer, EndedTask, Failure, Fault, Pong};
use crate::sys;

/// Clients at once; one more is let in by closing the oldest that asks nothing.
const MAX_CONNECTIONS: usize = 64;

/// How long removing the cgroup may take.
pub(super) const REMOVE_PATIENCE: Duration = Duration::from_secs(5);

/// The state of one shim.
#[derive(Debug)]
pub(super) struct Supervisor {
    pub(super) dir: PathBuf,
    pub(super) config: ShimConfig,
    pub(super) container: Container,
    pub(super) cgroup: Cgroup,
    pub(super) logs: Logs,
    pub(super) task: Task,
    pub(super) execs: Vec<Exec>,
    pub(super) next_exec: u64,
    pub(super) is_paused: bool,
    /// The last signal a client had sent to the first process or to all.
    pub(super) asked_signal: Option<i32>,
    /// Set by `delete`: answer, then end.
    pub(super) is_done: bool,
    pub(super) signals: SignalFd,
    listener: UnixListener,
    pub(super) connections: Vec<Connection>,
    next_connection: u64,
    /// Processes that ended while helpers were at work: a helper may yet report one of them (runc's execs come to
    /// the shim before their helper ends).
    pub(super) early: Vec<(Pid, WaitStatus)>,
    /// When the task is killed because the shim itself was told to end.
    pub(super) kill_at: Option<Instant>,
    pub(super) is_terminating: bool,
    /// Of a single-copy task.
    pub(super) tenancy: Option<Tenancy>,
    pub(super) save_at: Option<Instant>,
    _lock: OwnedFd,
}

/// Where the task is.
///
/// ```text
/// Starting ──▶ Running ──▶ Ended
///     └──▶ (the shim ends: the task never ran)
/// ```
#[derive(Debug)]
pub(super) enum Task {
    Starting(Helper),
    Running { pid: Pid, started_at: Timestamp },
    Ended(Box<EndedTask>),
}

/// What woke the loop.
#[derive(Debug, Clone, Copy)]
enum Wake {
    Lease,
    Signals,
    Listener,
    Report,
    Output(usize),
    Client(u64),
}

impl Supervisor {
    #[expect(clippy::too_many_arguments, reason = "made in one place, of parts that are each needed")]
    pub(super) fn new(
        dir: PathBuf,
        config: ShimConfig,
        container: Container,
        cgroup: Cgroup,
        lock: OwnedFd,
        signals: SignalFd,
        listener: UnixListener,
        logs: Logs,
        helper: Helper,
        tenancy: Option<Tenancy>,
    ) -> Self {
        Self {
            dir,
            config,
            container,
            cgroup,
            logs,
            task: Task::Starting(helper),
            execs: Vec::new(),
            next_exec: 1,
            is_paused: false,
            asked_signal: None,
            is_done: false,
            signals,
            listener,
            connections: Vec::new(),
            next_connection: 1,
            early: Vec::new(),
            kill_at: None,
            is_terminating: false,
            tenancy,
            save_at: None,
            _lock: lock,
        }
    }

    /// Runs until the container is deleted, or the task has ended after the shim was told to end.
    pub(super) fn run(mut self) -> ExitCode {
        while !self.is_done {
            for wake in self.wait() {
                match wake {
                    Wake::Signals => self.read_signals(),
                    // Looked at in every round.
                    Wake::Lease => {}
                    Wake::Listener => self.accept(),
                    Wake::Report => self.collect_reports(),
                    Wake::Output(index) => self.logs.read(index),
                    Wake::Client(id) => self.serve(id),
                }
            }
            if let Err(text) = self.keep_time(Instant::now()) {
                return self.fail_to_start(text);
            }
        }
        mounts::unmount(&self.config.rootfs);
        self.flush_all();
        ExitCode::SUCCESS
    }

    fn wait(&mut self) -> Vec<Wake> {
        let now = Instant::now();
        let mut next = [self.kill_at, self.save_at].into_iter().flatten().min();
        for connection in &self.connections {
            if let Pending::End(Some(until)) = connection.pending {
                next = Some(next.map_or(until, |other| other.min(until)));
            }
        }
        let (output, later) = self.logs.watch(now);
        next = [next, later].into_iter().flatten().min();
        let mut wakes = vec![Wake::Signals, Wake::Listener];
        let mut fds = vec![readable(self.signals.as_fd()), readable(self.listener.as_fd())];
        if let (Some(tenancy), false) = (&self.tenancy, matches!(self.task, Task::Ended(_))) {
            wakes.push(Wake::Lease);
            fds.push(readable(tenancy.timer()));
        }
        for (index, pipe) in output {
            wakes.push(Wake::Output(index));
            fds.push(readable(pipe));
        }
        let execs = self.execs.iter().filter_map(|exec| match &exec.stage {
            ExecStage::Joining(helper) => Some(helper),
            ExecStage::Running(_) => None,
        });
        let starting = match &self.task {
            Task::Starting(helper) => Some(helper),
            Task::Running { .. } | Task::Ended(_) => None,
        };
        for helper in execs.chain(starting) {
            wakes.push(Wake::Report);
            fds.push(readable(helper.report()));
        }
        for connection in &self.connections {
            let output = if connection.has_output() { PollFlags::POLLOUT } else { PollFlags::empty() };
            wakes.push(Wake::Client(connection.id));
            fds.push(PollFd::new(connection.stream(), PollFlags::POLLIN | output));
        }
        // A signal that is not read through the descriptor only makes one more round.
        let _ = poll(&mut fds, timeout(next, now));
        let woken = wakes.into_iter().zip(&fds);
        woken.filter(|(_, fd)| fd.any().unwrap_or(true)).map(|(wake, _)| wake).collect()
    }

    /// Everything that is due by time or by what has just happened.
    fn keep_time(&mut self, now: Instant) -> Result<(), String> {
        self.keep_lease()?;
        self.logs.flush_late(now);
        if self.kill_at.is_some_and(|at| at <= now) {
            self.kill_at = None;
            let _ = self.cgroup.kill_all();
        }
        if self.save_at.is_some_and(|at| at <= now) {
            self.save_ended(now);
        }
        for connection in &mut self.connections {
            if matches!(connection.pending, Pending::End(Some(until)) if until <= now) {
                connection.pending = Pending::Nothing;
                let text = "the task has not ended in that time";
                connection.answer(Answer::Failed(Failure::new(Fault::TimedOut, text)), None);
            }
        }
        self.connections.retain_mut(Connection::flush);
        if let Task::Starting(helper) = &self.task
            && let Some(outcome) = helper.outcome()
        {
            self.started(outcome?);
        }
        Ok(())
    }

    fn started(&mut self, launched: Joined) {
        let started_at = clock::now();
        self.task = Task::Running { pid: launched.pid, started_at };
        tell_spawner(Answer::Pong(self.pong(launched.pid, started_at)));
        leave_stdout();
        // The task may have ended before it was known: its signal has come already.
        self.reap();
    }

    fn fail_to_start(mut self, text: String) -> ExitCode {
        let _ = self.cgroup.remove(REMOVE_PATIENCE);
        let engine = self.config.engine.engine();
        let _ = engine.forget(&self.container);
        self.logs.drain();
        mounts::unmount(&self.config.rootfs);
        tell_spawner(Answer::Failed(Failure::new(Fault::System, text)));
        ExitCode::FAILURE
    }

    pub(super) fn pong(&self, pid: Pid, started_at: Timestamp) -> Pong {
        Pong {
            task: self.config.task.clone(),
            run: self.config.run,
            pid: pid.as_raw().unsigned_abs(),
            shim_pid: std::process::id(),
            started_at,
            is_paused: self.is_paused,
            has_ended: matches!(self.task, Task::Ended(_)),
        }
    }

    pub(super) fn connection(&mut self, id: Option<u64>) -> Option<&mut Connection> {
        self.connections.iter_mut().find(|connection| Some(connection.id) == id)
    }

    fn accept(&mut self) {
        let Ok((stream, _)) = self.listener.accept() else { return };
        let is_ours = rustix::net::sockopt::socket_peercred(&stream)
            .is_ok_and(|peer| peer.uid.is_root() || peer.uid == rustix::process::geteuid());
        if !is_ours || stream.set_nonblocking(true).is_err() {
            return;
        }
        if self.connections.len() >= MAX_CONNECTIONS {
            let idle = self.connections.iter().position(|old| old.pending == Pending::Nothing);
            let Some(idle) = idle else { return };
            self.connections.remove(idle);
        }
        self.connections.push(Connection::new(self.next_connection, stream.into()));
        self.next_connection += 1;
    }

    fn serve(&mut self, id: u64) {
        loop {
            let Some(connection) = self.connection(Some(id)) else { return };
            match connection.receive() {
                Received::Nothing => return,
                Received::Closed => return self.forget_client(id),
                Received::Line(line, fds) => {
                    let reply = self.handle(id, &line, fds);
                    let Some(connection) = self.connection(Some(id)) else { return };
                    match reply {
                        Ok(answer) => connection.answer(answer, None),
                        Err(pending) => connection.pending = pending,
                    }
                }
            }
        }
    }

    fn forget_client(&mut self, id: u64) {
        self.connections.retain(|connection| connection.id != id);
        for exec in self.execs.iter_mut().filter(|exec| exec.connection == Some(id)) {
            exec.connection = None;
            if let (ExecStage::Running(pid), false) = (&exec.stage, exec.is_detached) {
                let _ = sys::signal_child(*pid, Signal::SIGKILL as i32);
            }
        }
    }

    /// The last answers, for as long as the kernel takes them without waiting.
    fn flush_all(&mut self) {
        for connection in &mut self.connections {
            connection.flush();
        }
    }
}

fn readable(fd: std::os::fd::BorrowedFd<'_>) -> PollFd<'_> {
    PollFd::new(fd, PollFlags::POLLIN)
}

/// Rounded up, so that what is due is due on waking.
fn timeout(next: Option<Instant>, now: Instant) -> PollTimeout {
    let Some(next) = next else { return PollTimeout::NONE };
    let wait = next.saturating_duration_since(now) + Duration::from_micros(999);
    PollTimeout::try_from(wait.as_millis()).unwrap_or(PollTimeout::MAX)
}
