//! What runs and lies on the kernel for a node: its process, supervisors, tasks, mounts, cgroups.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::mount::{MntFlags, umount2};
use nix::sys::signal::Signal;

use super::process::{self, ProcessId};
use super::{BedError, Namespace, Node, ProcessState};
use crate::{remains, wait};

/// How long killed processes may take to be gone on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);
/// Looks after which all go on for a moment: a parent that waits for the start of a child that stands still cannot be
/// stopped (vfork(2)).
const LOOKS: u32 = 25;

/// The traces of one node.
pub(crate) struct Machine {
    name: String,
    data: PathBuf,
    tag: String,
    network: Namespace,
    process: Option<ProcessId>,
}

impl Machine {
    pub(crate) fn of(node: &Node) -> Self {
        Self {
            name: node.name.clone(),
            data: node.data.clone(),
            tag: remains::tag(&node.data),
            network: node.network(),
            process: node.process(),
        }
    }

    /// Where the node keeps what a reboot takes away.
    fn runtime(&self) -> PathBuf {
        Path::new("/run/kogge").join(&self.tag)
    }

    /// The node's process, also while it is on its way in, all in the node's network, among its mounts, in its cgroups,
    /// and those that they started.
    pub(crate) fn processes(&self) -> Vec<ProcessId> {
        let own = std::process::id();
        let mut others = process::all();
        others.retain(|process| process.pid != own);
        let is_its = |process: &ProcessId| {
            if self.process == Some(*process) {
                return true;
            }
            let groups = fs::read_to_string(format!("/proc/{}/cgroup", process.pid)).unwrap_or_default();
            groups.contains(&self.tag) || self.network.holds(*process)
        };
        let (mut its, mut others): (Vec<_>, Vec<_>) = others.into_iter().partition(is_its);
        loop {
            let parents: BTreeSet<u32> = its.iter().map(|process| process.pid).collect();
            let is_child = |process: &ProcessId| process.parent().is_some_and(|pid| parents.contains(&pid));
            let (children, rest): (Vec<_>, Vec<_>) = others.into_iter().partition(is_child);
            if children.is_empty() {
                return its;
            }
            its.extend(children);
            others = rest;
        }
    }

    /// Mount points below the node's directories, the innermost first.
    fn mounts(&self) -> Vec<PathBuf> {
        let table = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        let places = [self.data.clone(), self.runtime()];
        let points = table.lines().filter_map(|line| line.split(' ').nth(4)).map(PathBuf::from);
        let mut points: Vec<PathBuf> =
            points.filter(|point| places.iter().any(|place| point.starts_with(place))).collect();
        points.reverse();
        points
    }

    /// Ends everything that runs, as a loss of power does.
    pub(crate) fn kill(&self) -> Result<(), BedError> {
        // Nobody is to see the others die and tell of it.
        self.processes().iter().for_each(|process| drop(process.signal(Signal::SIGSTOP)));
        let gone = wait::within(PATIENCE, || {
            let left = self.processes();
            // What is new since the last look is met in the next round.
            left.iter().for_each(|process| drop(process.signal(Signal::SIGKILL)));
            left.is_empty().then_some(())
        });
        gone.ok_or_else(|| BedError::NotReady {
            what: format!("all processes of {} are gone", self.name),
            waited: PATIENCE,
            said: String::new(),
        })
    }

    /// Stops everything that runs, or lets it go on.
    pub(crate) fn set_paused(&self, is_paused: bool) -> Result<(), BedError> {
        let signal = if is_paused { Signal::SIGSTOP } else { Signal::SIGCONT };
        let mut looks = 0_u32;
        let done = wait::within(PATIENCE, || {
            let processes = self.processes();
            looks += 1;
            if looks.is_multiple_of(LOOKS) {
                processes.iter().for_each(|process| drop(process.signal(Signal::SIGCONT)));
            }
            processes.iter().for_each(|process| drop(process.signal(signal)));
            let is_done = |state| (state == ProcessState::Paused) == is_paused || state == ProcessState::Gone;
            processes.iter().all(|process| is_done(process.state())).then_some(())
        });
        done.ok_or_else(|| BedError::NotReady {
            what: format!("all processes of {} have heeded {signal}", self.name),
            waited: PATIENCE,
            said: String::new(),
        })
    }

    /// Takes away what is left on the kernel when everything is killed.
    pub(crate) fn clear(&self) {
        for point in self.mounts() {
            // What cannot be taken away is told by the last look.
            let _ = umount2(&point, MntFlags::MNT_DETACH);
        }
        let _ = wait::within(PATIENCE, || {
            let groups = remains::cgroups(&self.tag);
            groups.iter().for_each(|group| remove_groups(group));
            groups.iter().all(|group| !group.exists()).then_some(())
        });
        let _ = fs::remove_dir_all(self.runtime());
    }

    /// What is left, a sentence each.
    pub(crate) fn remains(&self) -> Vec<String> {
        let mut left: Vec<String> =
            self.processes().iter().map(|process| format!("process {}", process.pid)).collect();
        left.extend(remains::of(&self.data));
        let runtime = self.runtime();
        left.extend(runtime.exists().then(|| format!("directory {}", runtime.display())));
        left
    }
}

/// A cgroup is removed when those inside are.
fn remove_groups(group: &Path) {
    for inner in remains::folders(group) {
        remove_groups(&inner);
    }
    let _ = fs::remove_dir(group);
}

/// Ends everything in a network.
pub(crate) fn kill_in(network: &Namespace) -> Result<(), BedError> {
    let gone = wait::within(PATIENCE, || {
        let left: Vec<ProcessId> =
            process::all().into_iter().filter(|process| network.holds(*process)).collect();
        left.iter().for_each(|process| drop(process.signal(Signal::SIGKILL)));
        left.is_empty().then_some(())
    });
    gone.ok_or_else(|| BedError::NotReady {
        what: format!("all processes in {} are gone", network.name()),
        waited: PATIENCE,
        said: String::new(),
    })
}
