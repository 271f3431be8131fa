//! Processes that joined the container on a client's request.

use std::os::fd::OwnedFd;

use nix::sys::signal::Signal;
use nix::sys::wait::WaitStatus;
use nix::unistd::Pid;
use oci_spec::runtime::{Spec, UserBuilder};

use super::connection::Pending;
use super::ending::exit_of;
use super::helper::Helper;
use super::supervisor::Supervisor;
use crate::engine::{Joined, Joining, JoiningStdio};
use crate::protocol::{Answer, ExecEnded, ExecRequest, ExecStarted, Failure, Fault};
use crate::sys;

/// One of them.
#[derive(Debug)]
pub(super) struct Exec {
    /// Counted from 1, never reused.
    pub(super) id: u64,
    /// Who asked, while it is there.
    pub(super) connection: Option<u64>,
    /// Whether it goes on without who asked.
    pub(super) is_detached: bool,
    pub(super) stage: ExecStage,
}

#[derive(Debug)]
pub(super) enum ExecStage {
    /// A helper is at it.
    Joining(Helper),
    /// It runs.
    Running(Pid),
}

impl Supervisor {
    /// Reads what helpers of execs have to say.
    pub(super) fn collect_reports(&mut self) {
        self.read_reports();
        if !self.execs.iter().any(|exec| matches!(exec.stage, ExecStage::Joining(_))) {
            self.early.clear();
        }
    }

    fn read_reports(&mut self) {
        let mut index = 0;
        while index < self.execs.len() {
            let exec = &self.execs[index];
            let outcome = match &exec.stage {
                ExecStage::Joining(helper) => helper.outcome(),
                ExecStage::Running(_) => None,
            };
            match outcome {
                Some(Ok(joined)) => self.exec_started(index, joined),
                Some(Err(text)) => {
                    let exec = self.execs.remove(index);
                    self.answer_exec(&exec, Answer::Failed(Failure::new(Fault::System, text)));
                    continue;
                }
                None => {}
            }
            index += 1;
        }
    }

    fn exec_started(&mut self, index: usize, joined: Joined) {
        let has_ended = self.early.iter().any(|(pid, _)| *pid == joined.pid);
        let exec = &mut self.execs[index];
        if exec.connection.is_none() && !exec.is_detached && !has_ended {
            let _ = sys::signal_child(joined.pid, Signal::SIGKILL as i32);
        }
        exec.stage = ExecStage::Running(joined.pid);
        let started = ExecStarted { exec: exec.id, pid: joined.pid.as_raw().unsigned_abs() };
        let connection = exec.connection;
        if let Some(connection) = self.connection(connection) {
            connection.answer(Answer::ExecStarted(started), joined.terminal);
        }
        if let Some(early) = self.early.iter().position(|(pid, _)| *pid == joined.pid) {
            let (pid, status) = self.early.swap_remove(early);
            self.end_exec(pid, status);
        }
    }

    /// Whether `pid` was an exec, which is over now.
    pub(super) fn end_exec(&mut self, pid: Pid, status: WaitStatus) -> bool {
        let is_it = |exec: &Exec| matches!(exec.stage, ExecStage::Running(own) if own == pid);
        let (Some(index), Some(exit)) = (self.execs.iter().position(is_it), exit_of(status)) else {
            return false;
        };
        let exec = self.execs.remove(index);
        self.answer_exec(&exec, Answer::ExecEnded(ExecEnded { exec: exec.id, exit }));
        true
    }

    /// The last word on an exec.
    fn answer_exec(&mut self, exec: &Exec, answer: Answer) {
        let connection = exec.connection;
        if let Some(connection) = self.connection(connection) {
            connection.answer(answer, None);
            connection.pending = Pending::Nothing;
        }
    }
}

/// What the runtime needs, from the request and the spec of the container's first process.
pub(super) fn plan_joining(spec: &Spec, request: ExecRequest, fds: Vec<OwnedFd>) -> Result<Joining, Failure> {
    if request.args.is_empty() {
        return Err(Failure::new(Fault::BadRequest, "there is no program to run"));
    }
    let mut process = spec.process().clone().expect("a checked spec has a process");
    let linux = spec.linux().as_ref().expect("a checked spec has a Linux part");
    process.set_args(Some(request.args));
    process.set_env(Some(merge_env(process.env().clone().unwrap_or_default(), request.env)));
    if let Some(cwd) = request.cwd {
        if !cwd.is_absolute() {
            return Err(Failure::new(Fault::BadRequest, "the working directory is not absolute"));
        }
        process.set_cwd(cwd);
    }
    if let Some(user) = request.user {
        let built =
            UserBuilder::default().uid(user.uid).gid(user.gid).additional_gids(user.additional_gids).build();
        process.set_user(built.map_err(|error| Failure::new(Fault::BadRequest, error.to_string()))?);
    }
    process.set_terminal(Some(request.terminal.is_some()));
    let stdio = match (request.terminal, <[OwnedFd; 3]>::try_from(fds)) {
        (Some(size), _) => JoiningStdio::Terminal(size),
        (None, Ok(fds)) => JoiningStdio::Files(fds),
        (None, Err(_)) => {
            return Err(Failure::new(Fault::BadRequest, "three file descriptors must come along"));
        }
    };
    Ok(Joining { process, seccomp: linux.seccomp().clone(), stdio })
}

/// `extra` on top of `base`, by name.
fn merge_env(base: Vec<String>, extra: Vec<String>) -> Vec<String> {
    let name = |entry: &str| entry.split('=').next().unwrap_or_default().to_owned();
    let mut merged: Vec<String> =
        base.into_iter().filter(|old| !extra.iter().any(|new| name(new) == name(old))).collect();
    merged.extend(extra);
    merged
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_execs_environment_overrides_by_name() {
        let base = vec!["A=1".to_owned(), "AB=2".to_owned()];
        assert_eq!(merge_env(base, vec!["A=9".to_owned()]), ["AB=2", "A=9"]);
    }
}
