//! Network namespaces with names: files in the runtime directory that keep them alive without a process.

use std::fs::{self, File};
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::mount::UnmountFlags;
use rustix::thread::UnshareFlags;

use super::netlink::Netlink;

/// A new namespace, still open.
pub(crate) struct Namespace {
    /// The namespace itself, for moving links into it.
    pub(crate) fd: OwnedFd,
    /// A socket inside it.
    pub(crate) netlink: Netlink,
}

/// Settings of a new namespace: what a task could otherwise do only with privileges it does not have, and no
/// IPv6 on its link. A kernel without one of them is fine.
const SETTINGS: [(&str, &str); 3] = [
    ("/proc/sys/net/ipv4/ip_unprivileged_port_start", "0"),
    ("/proc/sys/net/ipv4/ping_group_range", "0 2147483647"),
    ("/proc/sys/net/ipv6/conf/default/disable_ipv6", "1"),
];

/// Makes a namespace and gives it the name `path`. Blocking.
pub(crate) fn create(path: &Path) -> io::Result<Namespace> {
    File::options().write(true).create_new(true).open(path)?;
    // A thread of its own: it moves into the new namespace and ends there, so no pooled thread is left inside.
    let made = std::thread::scope(|scope| {
        let builder = std::thread::Builder::new().name("kogge-netns".to_owned());
        let thread = builder.spawn_scoped(scope, || enter_new(path))?;
        thread.join().unwrap_or_else(|_| Err(io::Error::other("the thread that makes a namespace panicked")))
    });
    if made.is_err() {
        let _ = remove(path);
    }
    made
}

fn enter_new(path: &Path) -> io::Result<Namespace> {
    #[expect(unsafe_code, reason = "the call can break memory safety with flags other than this one")]
    // SAFETY: only the network namespace of this thread changes; no descriptor, memory or file system state is
    // shared or split by that.
    unsafe {
        rustix::thread::unshare_unsafe(UnshareFlags::NEWNET)?;
    }
    rustix::mount::mount_bind("/proc/thread-self/ns/net", path)?;
    for (setting, value) in SETTINGS {
        // These files show the namespace of the thread that opens them.
        if let Err(error) = fs::write(setting, value) {
            tracing::debug!(setting, %error, "the kernel has no such network setting");
        }
    }
    Ok(Namespace { fd: File::open(path)?.into(), netlink: Netlink::open()? })
}

/// Removes the name; the namespace goes with its last process. None is fine. Blocking.
pub(crate) fn remove(path: &Path) -> io::Result<()> {
    match rustix::mount::unmount(path, UnmountFlags::DETACH | UnmountFlags::NOFOLLOW) {
        // Not mounted (a crash fell between file and mount), or not there at all.
        Ok(()) | Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOENT) => {}
        Err(error) => return Err(error.into()),
    }
    // Removing the file also takes the mount out of every other mount namespace that had copied it.
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
