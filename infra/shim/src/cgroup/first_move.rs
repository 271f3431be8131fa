//! The kernel's pause before the first move of a process into another cgroup.
//!
//! A move by process id must not overlap with forks, so it waits until every processor has passed a quiet point:
//! several milliseconds, half of a task's start. For a moment after a move the next ones need not wait
//! (`cgroup_threadgroup_rwsem` in kernel/cgroup/cgroup.c, `rcu_sync` in kernel/rcu/sync.c). So the pause is begun as
//! soon as a start is in sight, by a move that changes nothing, and passes while the rest is prepared.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use super::layout::Layout;

/// One pause serves all.
static UNDER_WAY: AtomicBool = AtomicBool::new(false);

/// Begins the pause in the background. Without it a start only takes longer, so nothing is told of a failure.
pub(crate) fn begin_pause() {
    if UNDER_WAY.swap(true, Ordering::AcqRel) {
        return;
    }
    tokio::task::spawn_blocking(|| {
        if let Err(error) = stay_where_we_are() {
            tracing::trace!(%error, "the pause before a move between cgroups was not begun");
        }
        UNDER_WAY.store(false, Ordering::Release);
    });
}

/// Moves this process from its cgroup into its cgroup.
fn stay_where_we_are() -> io::Result<()> {
    let own = fs::read_to_string("/proc/self/cgroup")?;
    let dirs = own.lines().filter_map(dir_of);
    let Some(procs) = dirs.map(|dir| dir.join("cgroup.procs")).find(|procs| procs.exists()) else {
        return Err(io::Error::other("this process is in no cgroup that is mounted"));
    };
    super::write(&procs, &std::process::id().to_string())
}

/// The directory that a line of `/proc/self/cgroup` means (cgroups(7)).
fn dir_of(line: &str) -> Option<PathBuf> {
    let mut parts = line.splitn(3, ':').skip(1);
    let (controllers, path) = (parts.next()?, parts.next()?);
    let layout = Layout::detect(Path::new(path)).ok()?;
    match (controllers, layout.is_unified()) {
        ("", true) => layout.directories().into_iter().next(),
        ("", false) | (_, true) => None,
        (names, false) => layout.of(names.split(',').next()?).ok().map(Path::to_owned),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_can_be_moved_to_where_it_is() {
        let before = fs::read_to_string("/proc/self/cgroup").unwrap();
        stay_where_we_are().unwrap();
        assert_eq!(fs::read_to_string("/proc/self/cgroup").unwrap(), before);
    }
}
