//! What a shim relies on in the OCI runtime spec (`config.json`), checked before anything is touched.
//!
//! | field | must be |
//! |---|---|
//! | `ociVersion` | 1.x |
//! | `root.path` | the root file system of `shim.json` |
//! | `process.args` | not empty |
//! | `process.cwd` | absolute |
//! | `process.env` | with `PATH`: the runtime searches the program with it |
//! | `process.terminal` | absent or false: a task has no terminal, an exec may have one |
//! | `process.noNewPrivileges` | true: seccomp in exec depends on it |
//! | `process.capabilities` | there; used for exec too |
//! | `process.rlimits` | with `RLIMIT_NOFILE`; used for exec too |
//! | `mounts` | `/proc` of type proc; with the host's files also `/dev` of type tmpfs |
//! | `linux.cgroupsPath` | absolute, without `..`, not `/` |
//! | `linux.namespaces` | new `pid` and `mount` (no path), `ipc`, `uts` |
//! | `linux.resources` | `memory.limit`, `pids.limit`, and `cpu.quota` or `cpu.shares` |
//! | `linux.seccomp` | there; used for exec too |
//! | `hooks` | absent: nothing runs outside the container on a task's behalf |
//!
//! Without a fresh `/dev` over the host's files the runtime would edit the real `/dev` of the machine.

use std::path::{Component, Path, PathBuf};

use kogge_model::fault::Faults;
use oci_spec::runtime::{Linux, LinuxNamespaceType, LinuxResources, PosixRlimitType, Process, Spec};

use crate::config::Rootfs;

/// Reads `config.json` of a bundle.
///
/// # Errors
/// When it is missing or not an OCI runtime spec.
pub fn load_spec(bundle: &Path) -> Result<Spec, oci_spec::OciSpecError> {
    Spec::load(bundle.join("config.json"))
}

/// Checks everything a shim relies on.
///
/// # Errors
/// All faults found, each with its field.
pub fn check_spec(spec: &Spec, bundle: &Path, rootfs: &Rootfs) -> Result<(), Faults> {
    let mut faults = Faults::default();
    faults
        .check(spec.version().starts_with("1."), "ociVersion", || format!("is {}, not 1.x", spec.version()));
    faults.check(spec.hooks().is_none(), "hooks", || "are not supported".to_owned());
    check_root(spec, bundle, rootfs, &mut faults);
    check_mounts(spec, rootfs, &mut faults);
    match spec.process() {
        Some(process) => check_process(process, &mut faults),
        None => faults.check(false, "process", || "is missing".to_owned()),
    }
    match spec.linux() {
        Some(linux) => check_linux(linux, &mut faults),
        None => faults.check(false, "linux", || "is missing".to_owned()),
    }
    faults.finish(())
}

/// The cgroup of a checked spec.
/// Whether memory and swap together are no more than memory alone: the task gets no swap (runtime-spec,
/// config-linux.md, "Memory").
pub(crate) fn forbids_swap(spec: &Spec) -> bool {
    let resources = spec.linux().as_ref().and_then(|linux| linux.resources().as_ref());
    let memory = resources.and_then(|resources| resources.memory().as_ref());
    memory.is_some_and(|memory| memory.limit().is_some() && memory.limit() == memory.swap())
}

pub(crate) fn cgroup_path(spec: &Spec) -> Option<PathBuf> {
    spec.linux().as_ref()?.cgroups_path().clone()
}

fn check_root(spec: &Spec, bundle: &Path, rootfs: &Rootfs, faults: &mut Faults) {
    let root = spec.root().as_ref().map(|root| bundle.join(root.path()));
    faults.check(root.as_deref() == Some(rootfs.path()), "root.path", || {
        format!("is not the root file system {}", rootfs.path().display())
    });
    faults.check(rootfs.path() != Path::new("/"), "root.path", || "is the host's own root".to_owned());
}

fn check_mounts(spec: &Spec, rootfs: &Rootfs, faults: &mut Faults) {
    let is_mounted = |target: &str, kind: &str| {
        spec.mounts()
            .iter()
            .flatten()
            .any(|mount| mount.destination() == Path::new(target) && mount.typ().as_deref() == Some(kind))
    };
    faults.check(is_mounted("/proc", "proc"), "mounts", || "have no new /proc".to_owned());
    if matches!(rootfs, Rootfs::Host { .. }) {
        faults.check(is_mounted("/dev", "tmpfs"), "mounts", || {
            "have no fresh tmpfs on /dev: the runtime would change the host's devices".to_owned()
        });
    }
}

fn check_process(process: &Process, faults: &mut Faults) {
    let has_args = process.args().as_ref().is_some_and(|args| !args.is_empty());
    faults.check(has_args, "process.args", || "are empty".to_owned());
    faults.check(process.cwd().is_absolute(), "process.cwd", || "is not absolute".to_owned());
    let has_path = process.env().iter().flatten().any(|entry| entry.starts_with("PATH="));
    faults.check(has_path, "process.env", || "has no PATH".to_owned());
    let has_terminal = process.terminal().unwrap_or(false);
    faults.check(!has_terminal, "process.terminal", || "is true, a task has no terminal".to_owned());
    let is_confined = process.no_new_privileges() == Some(true);
    faults.check(is_confined, "process.noNewPrivileges", || "is not true".to_owned());
    faults.check(process.capabilities().is_some(), "process.capabilities", || "are missing".to_owned());
    let has_nofile =
        process.rlimits().iter().flatten().any(|limit| limit.typ() == PosixRlimitType::RlimitNofile);
    faults.check(has_nofile, "process.rlimits", || "have no RLIMIT_NOFILE".to_owned());
}

fn check_linux(linux: &Linux, faults: &mut Faults) {
    let is_path_usable = linux.cgroups_path().as_deref().is_some_and(is_own_cgroup);
    faults.check(is_path_usable, "linux.cgroupsPath", || "is not an absolute path below the root".to_owned());
    for (kind, name, may_join) in [
        (LinuxNamespaceType::Pid, "pid", false),
        (LinuxNamespaceType::Mount, "mount", false),
        (LinuxNamespaceType::Ipc, "ipc", true),
        (LinuxNamespaceType::Uts, "uts", true),
    ] {
        let namespace = linux.namespaces().iter().flatten().find(|namespace| namespace.typ() == kind);
        let is_right = namespace.is_some_and(|namespace| may_join || namespace.path().is_none());
        faults.check(is_right, "linux.namespaces", || format!("have no new {name} namespace"));
    }
    match linux.resources() {
        Some(resources) => check_resources(resources, faults),
        None => faults.check(false, "linux.resources", || "are missing".to_owned()),
    }
    faults.check(linux.seccomp().is_some(), "linux.seccomp", || "is missing".to_owned());
}

fn check_resources(resources: &LinuxResources, faults: &mut Faults) {
    let has_memory =
        resources.memory().as_ref().and_then(|memory| memory.limit()).is_some_and(|limit| limit > 0);
    faults.check(has_memory, "linux.resources.memory.limit", || "is missing".to_owned());
    let has_pids = resources.pids().as_ref().is_some_and(|pids| pids.limit() > 0);
    faults.check(has_pids, "linux.resources.pids.limit", || "is missing".to_owned());
    let cpu = resources.cpu().as_ref();
    let has_cpu = cpu.is_some_and(|cpu| cpu.quota().is_some() || cpu.shares().is_some());
    faults.check(has_cpu, "linux.resources.cpu", || "has neither quota nor shares".to_owned());
}

fn is_own_cgroup(path: &Path) -> bool {
    let mut components = path.components();
    components.next() == Some(Component::RootDir)
        && components.clone().next().is_some()
        && components.all(|component| matches!(component, Component::Normal(_)))
}
