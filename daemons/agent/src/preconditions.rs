//! What a machine must have before an agent can keep its promises there: looked at once, all of it, with advice.

use std::fs;
use std::path::Path;

use kogge_model::reason::Reason;
use kogge_model::resources::Bytes;

use crate::machine;
use crate::records::TASK_DIR;

/// Controllers without which limits would not be kept.
const CONTROLLERS: [&str; 4] = ["cpu", "memory", "pids", "devices"];

/// Below this a machine cannot even keep its own records.
pub(crate) const LEAST_FREE_DISK: Bytes = Bytes::mib(64);

/// And with room for fewer files it cannot unpack an image.
pub(crate) const LEAST_FREE_FILES: u64 = 1_024;

/// Read-only views of files for the supervisors' program (`mount_setattr`).
const LEAST_KERNEL: (u32, u32) = (5, 12);

/// What this machine lacks, each with what to do about it. Empty: all is well.
#[must_use]
pub fn missing(data: &Path) -> Vec<Reason> {
    let checks =
        [root(), kernel(), cgroups(), file_system("overlay"), program("nft", "nftables"), disk(data)];
    checks.into_iter().flatten().collect()
}

fn root() -> Option<Reason> {
    let is_root = rustix::process::geteuid().is_root();
    (!is_root).then(|| {
        Reason::new("not root: containers need namespaces, mounts and cgroups").with_hint("use sudo")
    })
}

fn kernel() -> Option<Reason> {
    let text = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    is_too_old(&text).then(|| {
        let (major, minor) = LEAST_KERNEL;
        Reason::new(format!("the kernel {} is older than {major}.{minor}", text.trim()))
            .with_hint("use a newer kernel, Debian 12 has 6.1")
    })
}

fn is_too_old(release: &str) -> bool {
    let mut numbers =
        release.split(|c: char| !c.is_ascii_digit()).filter_map(|part| part.parse::<u32>().ok());
    match (numbers.next(), numbers.next()) {
        (Some(major), Some(minor)) => (major, minor) < LEAST_KERNEL,
        _ => false,
    }
}

fn cgroups() -> Option<Reason> {
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let unified = fs::read_to_string("/sys/fs/cgroup/cgroup.controllers").unwrap_or_default();
    let lacking = lacking_controllers(&mounts, &unified);
    (!lacking.is_empty()).then(|| {
        Reason::new(format!("cgroup controllers are missing: {}", lacking.join(", "))).with_hint(
            "mount cgroups (v1, hybrid or v2), and enable the controllers on the kernel's command line",
        )
    })
}

/// On v1 each controller is an option of a cgroup mount; on v2 the root lists them, and devices need none.
fn lacking_controllers(mountinfo: &str, unified: &str) -> Vec<&'static str> {
    let v1 = mountinfo
        .lines()
        .filter_map(|line| line.split_once(" - cgroup "))
        .flat_map(|(_, rest)| rest.split([' ', ',']));
    let v1: Vec<&str> = v1.collect();
    let v2: Vec<&str> = unified.split_whitespace().collect();
    let is_v2_only = v1.is_empty() && !v2.is_empty();
    let is_there = |name: &&str| v1.contains(name) || v2.contains(name) || (is_v2_only && *name == "devices");
    CONTROLLERS.into_iter().filter(|name| !is_there(name)).collect()
}

/// Modules are loaded on first use, so a file system may be missing in the list and still be there.
fn file_system(name: &str) -> Option<Reason> {
    let list = fs::read_to_string("/proc/filesystems").unwrap_or_default();
    let is_listed = list.lines().any(|line| line.split_whitespace().last() == Some(name));
    if is_listed || can_load(name) {
        return None;
    }
    let reason = Reason::new(format!("the kernel has no {name} file system"));
    Some(reason.with_hint(format!("modprobe {name}, or use a kernel that has it")))
}

/// Whether modprobe finds the module; a kernel without modules finds none.
fn can_load(module: &str) -> bool {
    std::process::Command::new("modprobe").arg(module).output().is_ok_and(|output| output.status.success())
}

fn program(name: &str, package: &str) -> Option<Reason> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    // Daemons are often started without the system's own directories in their path.
    let dirs = std::env::split_paths(&path).chain(["/usr/sbin".into(), "/sbin".into()]);
    let is_there = dirs.into_iter().any(|dir| dir.join(name).is_file());
    (!is_there).then(|| {
        Reason::new(format!("the program {name} is not installed"))
            .with_hint(format!("apt install {package}"))
    })
}

/// Of a machine that has no tasks yet; one that has must be looked after, and takes nothing new ([`crate::loops::room`]).
fn disk(data: &Path) -> Option<Reason> {
    if data.join(TASK_DIR).exists() {
        return None;
    }
    // The directory need not be there yet.
    let there = data.ancestors().find(|path| path.exists())?;
    let free = machine::free_disk(there).ok()?;
    let files = machine::free_files(there).ok()?;
    let lack = if free < LEAST_FREE_DISK {
        free.to_string()
    } else {
        format!("{} more files", files.filter(|files| *files < LEAST_FREE_FILES)?)
    };
    let reason = Reason::new(format!("only {lack} are free for {}", data.display()));
    Some(reason.with_hint("make room, or name another data directory with --data"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_has_everything() {
        let lacking = missing(Path::new("/var/lib/not-there-yet"));
        assert!(lacking.is_empty(), "{lacking:?}");
    }

    #[test]
    fn old_kernels_are_told_from_new_ones() {
        for (release, is_old) in [
            ("6.1.0-18-amd64\n", false),
            ("5.12.0", false),
            ("5.11.9", true),
            ("4.19.0-5", true),
            ("strange", false),
        ] {
            assert_eq!(is_too_old(release), is_old, "{release}");
        }
    }

    #[test]
    fn controllers_are_found_on_v1_hybrid_and_v2() {
        let v1 = "31 24 0:27 / /sys/fs/cgroup ro - tmpfs tmpfs rw\n\
            32 31 0:28 / /c/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n\
            33 31 0:29 / /c/memory rw shared:9 - cgroup cgroup rw,memory\n\
            34 31 0:30 / /c/devices rw - cgroup cgroup rw,devices\n";
        assert_eq!(lacking_controllers(v1, ""), ["pids"]);
        assert!(lacking_controllers(v1, "pids hugetlb").is_empty());
        assert!(lacking_controllers("", "cpuset cpu io memory pids").is_empty());
        assert_eq!(lacking_controllers("", "cpu io"), ["memory", "pids"]);
        assert_eq!(lacking_controllers("", ""), CONTROLLERS);
    }
}
