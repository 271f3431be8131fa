//! Processes that joined the container on a client's request.

use std::os::fd::OwnedFd;

use nix::unistd::Pid;
use oci_spec::runtime::{Spec, UserBuilder};

use super::helper::Helper;
use crate::engine::{Joining, JoiningStdio};
use crate::protocol::{ExecRequest, Failure, Fault};

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
