//! The program that shims run.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use crate::sys;

/// The program, held so that neither an upgrade nor a container can change it under a running cloud.
///
/// A container's root can make a joining process run `/proc/self/exe`, which is this program, and open that file
/// through `/proc`. Shims therefore run from a view of it that refuses writes. (The attack is known as
/// CVE-2019-5736.)
#[derive(Debug)]
pub struct ShimProgram {
    view: OwnedFd,
}

impl ShimProgram {
    /// The program at `path`, usually `/proc/self/exe`. It must understand `shim DIR`.
    ///
    /// # Errors
    /// When the file cannot be opened or the kernel (before 5.12) has no read-only views.
    pub fn open(path: &Path) -> io::Result<Self> {
        Ok(Self { view: sys::read_only_view(path)? })
    }

    /// A second handle to the same view.
    ///
    /// # Errors
    /// When this process has too many files open.
    pub fn try_clone(&self) -> io::Result<Self> {
        Ok(Self { view: self.view.try_clone()? })
    }

    /// A path to it that works for children of this process while this value lives.
    pub(super) fn path(&self) -> PathBuf {
        PathBuf::from(format!("/proc/self/fd/{}", self.view.as_raw_fd()))
    }
}
