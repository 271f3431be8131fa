//! Plain commands without an image: what of the machine's own files they see.
//!
//! The shim binds `/` read-only, submounts included, into a mount namespace of the task. On top of that, so that
//! a command cannot do more than a stranger with an account:
//!
//! - it never runs as root; without a user it runs as nobody, with no capability to gain;
//! - `/tmp`, `/var/tmp`, `/run` are empty and its own: the sockets of the machine's services (Docker, D-Bus, the
//!   databases) are out of reach, as connecting to a socket is no write that a read-only mount would stop;
//! - `/root`, `/home`, host keys, password hashes and whatever the caller hides look empty;
//! - the one place on the disk it may write is [`HOST_WORK_DIR`], a directory of its own, where it starts.

use std::path::{Path, PathBuf};

use oci_spec::OciSpecError;
use oci_spec::runtime::Mount;

use super::error::BundleError;
use super::mounts::{ExtraMount, mount};

/// Where the task's own directory is mounted, and where the command starts unless told otherwise.
pub const HOST_WORK_DIR: &str = "/tmp/task";

/// User and group `nobody` and `nogroup` of Debian, and nobody's anywhere else.
pub const NOBODY: u32 = 65_534;

const SECRETS: [&str; 16] = [
    "/boot",
    "/etc/gshadow",
    "/etc/gshadow-",
    "/etc/shadow",
    "/etc/shadow-",
    "/etc/ssh",
    "/etc/ssl/private",
    "/etc/sudoers",
    "/etc/sudoers.d",
    "/etc/security/opasswd",
    "/home",
    "/lost+found",
    "/root",
    "/var/lib/docker",
    "/var/log",
    "/var/spool",
];

/// Own and empty; sizes count as the task's memory.
const OWN: [(&str, u32); 3] = [("/run", 0o755), ("/var/tmp", 0o1777), ("/tmp", 0o1777)];

/// What must lie under the container's own `/sys`: the kernel refuses to mount sysfs straight over the sysfs that
/// came along with the machine's files.
pub(crate) fn under_sys() -> Result<Mount, OciSpecError> {
    mount(
        Path::new("/sys"),
        "tmpfs",
        Path::new("tmpfs"),
        &["nosuid", "nodev", "noexec", "size=4k", "mode=755"],
    )
}

/// Mounts that make the machine's files safe to show; `work_dir` is on the host.
pub(crate) fn mounts(work_dir: &Path, mem_bytes: u64) -> Vec<ExtraMount> {
    let size_bytes = (mem_bytes / 2).clamp(1 << 20, 64 << 20);
    let mut mounts: Vec<ExtraMount> = OWN
        .iter()
        .map(|&(target, mode)| ExtraMount::Tmpfs { target: target.into(), size_bytes, mode })
        .collect();
    let target = PathBuf::from(HOST_WORK_DIR);
    mounts.push(ExtraMount::Bind { source: work_dir.to_path_buf(), target, is_read_only: false });
    mounts
}

/// Paths that look empty, the caller's own first.
pub(crate) fn masked(hidden: &[PathBuf]) -> Vec<String> {
    let secrets = SECRETS.iter().map(|path| (*path).to_owned());
    hidden.iter().map(|path| path.display().to_string()).chain(secrets).collect()
}

/// Mounts of the caller go only where the container itself has made room: a missing mount point would be made
/// on the machine's own disk.
pub(crate) fn check_target(path: &Path) -> Result<(), BundleError> {
    let is_own = OWN.iter().any(|(own, _)| path.starts_with(own));
    // The machine's own name files exist, and are replaced by the task's.
    let is_there =
        ["/etc/hosts", "/etc/hostname", "/etc/resolv.conf"].iter().any(|file| path == Path::new(file));
    if is_own || is_there { Ok(()) } else { Err(BundleError::ReservedMount { path: path.to_path_buf() }) }
}

/// `/etc/resolv.conf` is often a link into `/run`, which is empty inside: mount at what it points at.
pub(crate) fn real_target(target: &Path) -> PathBuf {
    std::fs::canonicalize(target).unwrap_or_else(|_| target.to_path_buf())
}
