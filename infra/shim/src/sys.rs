//! System calls that no library at hand wraps.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use nix::errno::Errno;
use nix::sys::signal::Signal;
use nix::unistd::Pid;
use rustix::mount::OpenTreeFlags;

/// `MOUNT_ATTR_RDONLY` of mount_setattr(2).
const MOUNT_ATTR_RDONLY: u64 = 1;

/// `struct mount_attr` of mount_setattr(2), its first published form.
#[repr(C)]
struct MountAttr {
    attr_set: u64,
    attr_clr: u64,
    propagation: u64,
    userns_fd: u64,
}

/// Makes the mount at `path` and everything mounted below it read-only, in this mount namespace.
pub(crate) fn make_tree_read_only(path: &Path) -> io::Result<()> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    set_read_only(libc::AT_FDCWD, &path, libc::AT_RECURSIVE)
}

/// A view of one file that cannot be written through, not even by root with the file's `/proc/PID/exe` at hand.
pub(crate) fn read_only_view(path: &Path) -> io::Result<OwnedFd> {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    let view = rustix::mount::open_tree(rustix::fs::CWD, path, flags)?;
    set_read_only(view.as_raw_fd(), c"", libc::AT_EMPTY_PATH)?;
    Ok(view)
}

fn set_read_only(dir: RawFd, path: &std::ffi::CStr, flags: libc::c_int) -> io::Result<()> {
    let attributes = MountAttr { attr_set: MOUNT_ATTR_RDONLY, attr_clr: 0, propagation: 0, userns_fd: 0 };
    #[expect(unsafe_code, reason = "mount_setattr has no wrapper")]
    // SAFETY: path and attributes live over the call, and the size is that of the attributes.
    let result = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            dir,
            path.as_ptr(),
            flags,
            &raw const attributes,
            size_of::<MountAttr>(),
        )
    };
    Errno::result(result).map(drop).map_err(io::Error::from)
}

/// Closes the descriptors from `first` to `last`, both included, that are open (close_range(2)).
pub(crate) fn close_range(first: u32, last: u32) -> io::Result<()> {
    #[expect(unsafe_code, reason = "close_range has no wrapper")]
    // SAFETY: the caller owns the process and uses none of them again.
    let result = unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) };
    Errno::result(result).map(drop).map_err(io::Error::from)
}

/// Dies with the parent, which is `parent` now (`PR_SET_PDEATHSIG` of prctl(2)). False when it has died already.
pub(crate) fn die_with(parent: Pid) -> bool {
    // Set first, so that no death falls between the two.
    nix::sys::prctl::set_pdeathsig(Signal::SIGKILL).is_ok() && nix::unistd::getppid() == parent
}

/// Sends signal `number`, which may be a real-time one, to a child that is not reaped yet. Nobody else can have
/// its process id until then, so no descriptor of it is needed.
pub(crate) fn signal_child(child: Pid, number: i32) -> io::Result<()> {
    #[expect(unsafe_code, reason = "the wrappers take only named signals")]
    // SAFETY: kill(2) takes two numbers and touches no memory of ours.
    let result = unsafe { libc::kill(child.as_raw(), number) };
    Errno::result(result).map(drop).map_err(io::Error::from)
}
