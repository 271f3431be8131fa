//! Mounts of a machine's own: `/sys` shows the interfaces of its network, and what it mounts ends with it.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use nix::mount::{MntFlags, umount2};

use super::program::{output, run};
use super::{BedError, Namespace};

/// In the machine's network, with mounts that nobody else sees. The cgroups of the host stay where they are; `$1` is an
/// empty directory.
const SET_UP: &str = r#"
set -e
mount --rbind /sys/fs/cgroup "$1"
mount -t sysfs sysfs /sys
mount --move "$1" /sys/fs/cgroup
"#;

/// Where the files of a bed lie that hold mounts.
pub(crate) fn folder(bed: &Path) -> PathBuf {
    bed.join("mounts")
}

/// Once a bed. The kernel keeps a namespace of mounts only in a file on a mount that is not shared.
pub(crate) fn prepare(bed: &Path) -> Result<(), BedError> {
    let folder = folder(bed);
    fs::create_dir_all(&folder).map_err(BedError::file("make", &folder))?;
    let shown = folder.display();
    run(&format!("mount --bind {shown} {shown}"))?;
    run(&format!("mount --make-private {shown}")).map(drop)
}

/// Those of a machine, held by `file`.
pub(crate) fn create(network: &Namespace, file: &Path) -> Result<(), BedError> {
    File::create(file).map_err(BedError::file("make", file))?;
    let empty = file.with_extension("empty");
    fs::create_dir_all(&empty).map_err(BedError::file("make", &empty))?;
    let mut command = network.command("unshare");
    command.arg(format!("--mount={}", file.display())).args(["sh", "-c", SET_UP, "sh"]).arg(&empty);
    output(&mut command).map(drop)
}

/// Takes all of a bed away; the kernel takes what was mounted there when the last process has left.
pub(crate) fn remove(bed: &Path) {
    let folder = folder(bed);
    for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
        // Not all are mount points, and what is left is told by the last look.
        let _ = umount2(&entry.path(), MntFlags::MNT_DETACH);
    }
    let _ = umount2(&folder, MntFlags::MNT_DETACH);
}
