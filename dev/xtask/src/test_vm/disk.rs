//! The machine's disk: Debian from its own packages, made once and kept.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context;

use crate::program::{copy, output, talk};

const SUITE: &str = "bookworm";
const PACKAGES: &[&str] = &[
    "systemd",
    "systemd-sysv",
    "udev",
    "dbus",
    "linux-image-cloud-amd64",
    "e2fsprogs",
    "openssh-server",
    "nftables",
    "kmod",
    "iproute2",
    "git",
    "curl",
    "ca-certificates",
    "busybox-static",
    "procps",
];
const SIZE: &str = "4G";

/// The address that QEMU's user network gives to its guest (QEMU's manual, "Using the user mode network stack"). Only
/// the machine's own wire: bridges and veth pairs are the cloud's.
const WIRE: &str = "[Match]\nName=en* eth*\n\n[Network]\nAddress=10.0.2.15/24\nGateway=10.0.2.2\n\
    LinkLocalAddressing=no\nIPv6AcceptRA=no\n";

/// A disk to make overlays of, with what boots it and who may log in.
pub(crate) struct Base {
    folder: PathBuf,
}

impl Base {
    /// The one in `folder`; made when there is none, or one of other packages.
    pub(crate) fn obtain(folder: &Path) -> anyhow::Result<Self> {
        let base = Self { folder: folder.join("base") };
        let recipe = format!("{SUITE} {SIZE}\n{}\n{WIRE}", PACKAGES.join(" "));
        if fs::read_to_string(base.recipe()).is_ok_and(|made| made == recipe) {
            return Ok(base);
        }
        talk("test-vm: making the machine's disk from Debian packages; this is done once");
        if base.folder.exists() {
            fs::remove_dir_all(&base.folder)?;
        }
        fs::create_dir_all(&base.folder)?;
        base.make().with_context(|| format!("cannot make a disk in {}", base.folder.display()))?;
        // Last: a disk without it is unfinished.
        fs::write(base.recipe(), recipe)?;
        Ok(base)
    }

    fn recipe(&self) -> PathBuf {
        self.folder.join("made-of")
    }

    pub(crate) fn kernel(&self) -> PathBuf {
        self.folder.join("vmlinuz")
    }

    pub(crate) fn initrd(&self) -> PathBuf {
        self.folder.join("initrd.img")
    }

    pub(crate) fn key(&self) -> PathBuf {
        self.folder.join("key")
    }

    pub(crate) fn disk(&self) -> PathBuf {
        self.folder.join("disk.img")
    }

    fn make(&self) -> anyhow::Result<()> {
        let tree = self.folder.join("root");
        let key = self.key();
        output(
            Command::new("ssh-keygen")
                .args(["-q", "-t", "ed25519", "-N", "", "-C", "test-vm", "-f"])
                .arg(&key),
        )?;
        // What it mounts goes with the namespace, even when it is killed: then the tree can be cleared.
        let mut debian = Command::new("unshare");
        debian.args(["--mount", "mmdebstrap", "--mode=root", "--variant=minbase", "--format=directory"]);
        debian.arg("--aptopt=Acquire::Languages \"none\"").arg("--aptopt=Acquire::Retries \"3\"");
        debian.arg("--dpkgopt=force-unsafe-io").arg("--dpkgopt=path-exclude=/usr/share/doc/*");
        debian.arg(format!("--include={}", PACKAGES.join(","))).arg(SUITE).arg(&tree);
        output(debian.env("LC_ALL", "C.UTF-8").env("DEBIAN_FRONTEND", "noninteractive"))?;
        self.settle_in(&tree)?;
        copy(&newest(&tree.join("boot"), "vmlinuz-")?, &self.kernel())?;
        copy(&newest(&tree.join("boot"), "initrd.img-")?, &self.initrd())?;
        let mut format = Command::new("mke2fs");
        format.args(["-q", "-t", "ext4", "-L", "root", "-d"]).arg(&tree).arg(self.disk()).arg(SIZE);
        output(&mut format)?;
        fs::remove_dir_all(&tree)?;
        Ok(())
    }

    /// Network, and who may log in.
    fn settle_in(&self, tree: &Path) -> anyhow::Result<()> {
        let home = tree.join("root/.ssh");
        fs::create_dir_all(&home)?;
        fs::set_permissions(&home, fs::Permissions::from_mode(0o700))?;
        copy(&self.key().with_extension("pub"), &home.join("authorized_keys"))?;
        fs::write(tree.join("etc/systemd/network/10-wire.network"), WIRE)?;
        fs::write(tree.join("etc/hostname"), "guest\n")?;
        fs::write(tree.join("etc/hosts"), "127.0.0.1 localhost guest\n::1 localhost\n")?;
        let wants = tree.join("etc/systemd/system/multi-user.target.wants");
        fs::create_dir_all(&wants)?;
        symlink("/lib/systemd/system/systemd-networkd.service", wants.join("systemd-networkd.service"))?;
        Ok(())
    }
}

fn newest(folder: &Path, prefix: &str) -> anyhow::Result<PathBuf> {
    let entries = fs::read_dir(folder)?.flatten().map(|entry| entry.path());
    let is_it =
        |path: &PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(prefix));
    entries.filter(is_it).max().with_context(|| format!("no {prefix}* in {}", folder.display()))
}
