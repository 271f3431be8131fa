//! A directory that paths cannot leave: every look-up is resolved by the kernel inside it.
//!
//! `openat2` with `RESOLVE_IN_ROOT` treats the directory as `/` for absolute links and `..` alike, in one step,
//! so there is no moment between check and use (`man 2 openat2`).

use std::ffi::CString;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{
    AtFlags, FileType, Gid, Mode, OFlags, ResolveFlags, Stat, Timespec, Timestamps, Uid, XattrFlags,
};
use rustix::io::Errno;

/// An open directory and what may be done below it.
#[derive(Debug)]
pub(crate) struct RootDir {
    fd: OwnedFd,
}

const IN_ROOT: ResolveFlags = ResolveFlags::IN_ROOT.union(ResolveFlags::NO_MAGICLINKS);

impl RootDir {
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(Self { fd: rustix::fs::openat(rustix::fs::CWD, path, flags, Mode::empty())? })
    }

    /// Opens `path`, given relative to the root; links on the way are followed inside the root.
    pub(crate) fn open_at(&self, path: &[u8], flags: OFlags) -> Result<OwnedFd, Errno> {
        let path = if path.is_empty() { b".".as_slice() } else { path };
        loop {
            match rustix::fs::openat2(&self.fd, path, flags | OFlags::CLOEXEC, Mode::empty(), IN_ROOT) {
                // The kernel saw a rename beside a `..` and could not tell: try again.
                Err(Errno::AGAIN | Errno::INTR) => {}
                other => return other,
            }
        }
    }

    pub(crate) fn open_dir(&self, path: &[u8]) -> Result<OwnedFd, Errno> {
        self.open_at(path, OFlags::RDONLY | OFlags::DIRECTORY)
    }

    /// Opens the directory at `components`, making what is missing with mode 0755.
    pub(crate) fn make_dirs(&self, components: &[&[u8]]) -> Result<OwnedFd, Errno> {
        let whole = components.join(&b'/');
        match self.open_dir(&whole) {
            Err(Errno::NOENT) => {}
            other => return other,
        }
        for depth in 1..=components.len() {
            match self.open_dir(&components[..depth].join(&b'/')) {
                Ok(_) => continue,
                Err(Errno::NOENT) => {}
                Err(error) => return Err(error),
            }
            let parent = self.open_dir(&components[..depth - 1].join(&b'/'))?;
            let name = c_name(components[depth - 1])?;
            rustix::fs::mkdirat(&parent, name.as_c_str(), Mode::from_raw_mode(0o755))?;
            rustix::fs::chmodat(&parent, name.as_c_str(), Mode::from_raw_mode(0o755), AtFlags::empty())?;
        }
        self.open_dir(&whole)
    }

    /// Reads a regular file of at most `limit` bytes; nothing, a directory or a device gives `None`.
    pub(crate) fn read_file(&self, path: &[u8], limit: u64) -> io::Result<Option<Vec<u8>>> {
        // Without O_NONBLOCK a fifo would block the open for ever.
        let fd = match self.open_at(path, OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY) {
            Ok(fd) => fd,
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::NXIO) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let stat = rustix::fs::fstat(&fd)?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return Ok(None);
        }
        if u64::try_from(stat.st_size).unwrap_or(0) > limit {
            return Err(io::Error::new(
                io::ErrorKind::FileTooLarge,
                format!("it has more than {limit} bytes"),
            ));
        }
        let mut bytes = Vec::new();
        io::Read::read_to_end(&mut io::Read::take(File::from(fd), limit), &mut bytes)?;
        Ok(Some(bytes))
    }
}

impl AsFd for RootDir {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// A single path component for the system: no zero byte inside.
pub(crate) fn c_name(name: &[u8]) -> Result<CString, Errno> {
    CString::new(name).map_err(|_| Errno::INVAL)
}

/// What `name` itself is, not what it points at.
pub(crate) fn stat_at(dir: impl AsFd, name: &CString) -> Result<Option<Stat>, Errno> {
    match rustix::fs::statat(dir, name.as_c_str(), AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => Ok(Some(stat)),
        Err(Errno::NOENT) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Whether this is how overlayfs marks a removed name: a character device 0:0
/// (kernel documentation, overlayfs, "whiteouts and opaque directories").
pub(crate) fn is_whiteout(stat: &Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::CharacterDevice && stat.st_rdev == 0
}

/// Marks `name` as removed from the layers below.
pub(crate) fn make_whiteout(dir: impl AsFd, name: &CString) -> Result<(), Errno> {
    rustix::fs::mknodat(dir, name.as_c_str(), FileType::CharacterDevice, Mode::empty(), 0)
}

/// Hides what the layers below have in this directory.
pub(crate) fn make_opaque(dir: impl AsFd) -> Result<(), Errno> {
    rustix::fs::fsetxattr(dir, c"trusted.overlay.opaque", b"y", XattrFlags::empty())
}

/// Whether [`make_opaque`] was called on it.
pub(crate) fn is_opaque(dir: impl AsFd) -> bool {
    let mut value = [0u8; 1];
    matches!(rustix::fs::fgetxattr(dir, c"trusted.overlay.opaque", &mut value), Ok(1)) && value == *b"y"
}

/// Owner first, then mode: a change of owner clears setuid bits.
pub(crate) fn set_owner_and_mode(fd: impl AsFd, uid: u32, gid: u32, mode: u32) -> Result<(), Errno> {
    rustix::fs::fchown(fd.as_fd(), Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)))?;
    rustix::fs::fchmod(fd, Mode::from_raw_mode(mode))
}

/// Modification time in whole seconds; the access time is set to the same.
pub(crate) const fn times(seconds: i64) -> Timestamps {
    let time = Timespec { tv_sec: seconds, tv_nsec: 0 };
    Timestamps { last_access: time, last_modification: time }
}
