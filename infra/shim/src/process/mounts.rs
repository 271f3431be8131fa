//! The root file system, mounted where only this shim and its container see it.

use std::ffi::CString;
use std::fs::{self, File};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags};
use rustix::mount::{MountFlags, MountPropagationFlags, UnmountFlags};
use rustix::thread::UnshareFlags;

use crate::config::Rootfs;
use crate::sys;

/// Why a root file system could not be mounted.
#[derive(Debug, thiserror::Error)]
pub(super) enum MountError {
    #[error("cannot make a mount namespace")]
    Namespace(#[source] io::Error),
    #[error("cannot open {path}", path = path.display())]
    Open { path: PathBuf, source: io::Error },
    #[error("cannot mount the overlay on {path}", path = path.display())]
    Overlay { path: PathBuf, source: io::Error },
    #[error("cannot bind the host's files to {path}", path = path.display())]
    Bind { path: PathBuf, source: io::Error },
    #[error("cannot hide {path}", path = path.display())]
    Hide { path: PathBuf, source: io::Error },
    #[error("{path} is no directory", path = path.display())]
    NotDirectory { path: PathBuf },
}

/// Leaves the host's mount namespace: what the host mounts later comes in, nothing goes out.
pub(super) fn enter_namespace() -> Result<(), MountError> {
    #[expect(unsafe_code, reason = "rustix marks unshare unsafe for the flags that split file tables")]
    // SAFETY: the shim has a single thread, and a mount namespace concerns no memory or descriptors.
    let unshared = unsafe { rustix::thread::unshare_unsafe(UnshareFlags::NEWNS) };
    unshared.map_err(|errno| MountError::Namespace(errno.into()))?;
    let slave = MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC;
    rustix::mount::mount_change("/", slave).map_err(|errno| MountError::Namespace(errno.into()))
}

/// Mounts what the configuration names.
pub(super) fn mount(rootfs: &Rootfs) -> Result<(), MountError> {
    match rootfs {
        Rootfs::Overlay { lowers, upper, work, merged } => mount_overlay(lowers, upper, work, merged),
        Rootfs::Host { mountpoint, is_read_only, hidden } => bind_host(mountpoint, *is_read_only, hidden),
        Rootfs::Directory { path } if path.is_dir() => Ok(()),
        Rootfs::Directory { path } => Err(MountError::NotDirectory { path: path.clone() }),
    }
}

/// Unmounts it again. Whatever fails here ends with the namespace.
pub(super) fn unmount(rootfs: &Rootfs) {
    let target = match rootfs {
        Rootfs::Overlay { merged, .. } => merged,
        Rootfs::Host { mountpoint, .. } => mountpoint,
        Rootfs::Directory { .. } => return,
    };
    if rustix::mount::unmount(target, UnmountFlags::empty()).is_err() {
        let _ = rustix::mount::unmount(target, UnmountFlags::DETACH);
    }
}

/// Overlay options stand in one page (mount(2)) and a single option of the newer calls in 256 bytes
/// (fsconfig(2)), so paths of any length and number go in as descriptors.
fn mount_overlay(lowers: &[PathBuf], upper: &Path, work: &Path, merged: &Path) -> Result<(), MountError> {
    let lowers = lowers.iter().map(|path| open_dir(path)).collect::<Result<Vec<_>, _>>()?;
    let (upper, work) = (open_dir(upper)?, open_dir(work)?);
    let name = |dir: &File| format!("/proc/self/fd/{}", dir.as_raw_fd());
    let lower_names: Vec<String> = lowers.iter().map(name).collect();
    let options =
        format!("lowerdir={},upperdir={},workdir={}", lower_names.join(":"), name(&upper), name(&work));
    let options = CString::new(options).expect("names of descriptors have no zero byte");
    rustix::mount::mount("overlay", merged, "overlay", MountFlags::empty(), options.as_c_str())
        .map_err(|errno| MountError::Overlay { path: merged.to_owned(), source: errno.into() })
}

fn bind_host(mountpoint: &Path, is_read_only: bool, hidden: &[PathBuf]) -> Result<(), MountError> {
    let failed = |source: io::Error| MountError::Bind { path: mountpoint.to_owned(), source };
    rustix::mount::mount_bind_recursive("/", mountpoint).map_err(|errno| failed(errno.into()))?;
    let slave = MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC;
    rustix::mount::mount_change(mountpoint, slave).map_err(|errno| failed(errno.into()))?;
    for dir in hidden {
        hide(mountpoint, dir)?;
    }
    if is_read_only {
        sys::make_tree_read_only(mountpoint).map_err(failed)?;
    }
    Ok(())
}

/// Covers `dir`, as the container will see it, with an empty directory.
fn hide(mountpoint: &Path, dir: &Path) -> Result<(), MountError> {
    // Resolved on the host's side first: a symbolic link must not lead the mount elsewhere.
    let Ok(real) = fs::canonicalize(dir) else { return Ok(()) };
    let inside = mountpoint.join(real.strip_prefix("/").unwrap_or(&real));
    let options = CString::new("mode=000,size=4k").expect("the text has no zero byte");
    rustix::mount::mount(
        "tmpfs",
        inside.as_os_str().as_bytes(),
        "tmpfs",
        MountFlags::RDONLY,
        options.as_c_str(),
    )
    .map_err(|errno| MountError::Hide { path: dir.to_owned(), source: errno.into() })
}

fn open_dir(path: &Path) -> Result<File, MountError> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let fd = rustix::fs::openat(CWD, path, flags, Mode::empty())
        .map_err(|errno| MountError::Open { path: path.to_owned(), source: errno.into() })?;
    Ok(fd.into())
}
