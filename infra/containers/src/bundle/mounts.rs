//! What is mounted in a container, besides its root.

use std::path::{Component, Path, PathBuf};

use oci_spec::OciSpecError;
use oci_spec::runtime::{Mount, MountBuilder};

use super::error::BundleError;

/// What the kernel shows of the whole machine, or lets root change for it.
pub(crate) const MASKED: [&str; 13] = [
    "/proc/acpi",
    "/proc/asound",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/devices/virtual/powercap",
    "/sys/firmware",
    "/sys/kernel/debug",
];

const READ_ONLY: [&str; 5] = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

/// Hierarchies of cgroup v1 and what is mounted beside them. A container's root owns the files of its own cgroup
/// and could raise its own limits there. The mount's `ro` is not enough: libcontainer 0.7 leaves it out on v1.
const HIERARCHIES: [&str; 18] = [
    "blkio",
    "cpu",
    "cpu,cpuacct",
    "cpuacct",
    "cpuacct,cpu",
    "cpuset",
    "devices",
    "freezer",
    "hugetlb",
    "memory",
    "misc",
    "net_cls",
    "net_cls,net_prio",
    "net_prio",
    "perf_event",
    "pids",
    "systemd",
    "unified",
];

/// Every path that refuses writes; those that do not exist are passed over.
pub(crate) fn read_only() -> Vec<String> {
    let kernel = READ_ONLY.iter().map(|path| (*path).to_owned());
    let hierarchies = HIERARCHIES.iter().map(|name| format!("/sys/fs/cgroup/{name}"));
    // The parent first: making it read-only copies what is mounted below.
    kernel.chain(["/sys/fs/cgroup".to_owned()]).chain(hierarchies).collect()
}

/// Where only the spec itself mounts.
const RESERVED: [&str; 3] = ["/dev", "/proc", "/sys"];

/// A mount that the caller adds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ExtraMount {
    /// A file or directory of the host. Its devices and setuid bits have no effect inside.
    Bind {
        /// On the host.
        source: PathBuf,
        /// In the container.
        target: PathBuf,
        /// Whether it refuses writes.
        is_read_only: bool,
    },
    /// An empty directory in memory, which counts as the task's memory.
    Tmpfs {
        /// In the container.
        target: PathBuf,
        /// Its bound.
        size_bytes: u64,
        /// Permission bits, such as `0o1777`.
        mode: u32,
    },
}

impl ExtraMount {
    pub(crate) fn target(&self) -> &Path {
        match self {
            Self::Bind { target, .. } | Self::Tmpfs { target, .. } => target,
        }
    }

    pub(crate) fn to_oci(&self) -> Result<Mount, BundleError> {
        check_path("a mount's target", self.target())?;
        if self.target() == Path::new("/") || RESERVED.iter().any(|root| self.target().starts_with(root)) {
            return Err(BundleError::ReservedMount { path: self.target().to_path_buf() });
        }
        let mount = match self {
            Self::Bind { source, target, is_read_only } => {
                check_path("a mount's source", source)?;
                let access = if *is_read_only { "ro" } else { "rw" };
                mount(target, "bind", source, &["bind", "rprivate", "nosuid", "nodev", access])?
            }
            Self::Tmpfs { target, size_bytes, mode } => {
                let (size, mode) = (format!("size={size_bytes}"), format!("mode={mode:o}"));
                mount(target, "tmpfs", Path::new("tmpfs"), &["nosuid", "nodev", &size, &mode])?
            }
        };
        Ok(mount)
    }
}

/// The kernel's own, in the order they are mounted.
pub(crate) fn standard() -> Result<Vec<Mount>, OciSpecError> {
    let fresh =
        |target: &str, kind: &str, options: &[&str]| mount(Path::new(target), kind, Path::new(kind), options);
    Ok(vec![
        fresh("/proc", "proc", &["nosuid", "noexec", "nodev"])?,
        fresh("/dev", "tmpfs", &["nosuid", "strictatime", "mode=755", "size=65536k"])?,
        fresh(
            "/dev/pts",
            "devpts",
            &["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"],
        )?,
        fresh("/dev/shm", "tmpfs", &["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"])?,
        fresh("/dev/mqueue", "mqueue", &["nosuid", "noexec", "nodev"])?,
        fresh("/sys", "sysfs", &["nosuid", "noexec", "nodev", "ro"])?,
        fresh("/sys/fs/cgroup", "cgroup", &["nosuid", "noexec", "nodev", "relatime", "ro"])?,
    ])
}

pub(crate) fn mount(
    target: &Path,
    kind: &str,
    source: &Path,
    options: &[&str],
) -> Result<Mount, OciSpecError> {
    MountBuilder::default()
        .destination(target)
        .typ(kind)
        .source(source)
        .options(options.iter().map(|option| (*option).to_owned()).collect::<Vec<_>>())
        .build()
}

/// Absolute, and with nothing in it that means another path.
pub(crate) fn check_path(field: &'static str, path: &Path) -> Result<(), BundleError> {
    let is_plain =
        path.components().all(|component| matches!(component, Component::RootDir | Component::Normal(_)));
    let has_zero = path.as_os_str().as_encoded_bytes().contains(&0);
    if path.is_absolute() && is_plain && !has_zero {
        Ok(())
    } else {
        Err(BundleError::BadPath { field, path: path.to_path_buf() })
    }
}
