//! Removing directory trees that strangers have filled.

use std::collections::VecDeque;
use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{AtFlags, Dir, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

/// Removes `path` and everything below it; nothing there is fine.
///
/// Tasks and archives choose the shape of what is removed, so depth must cost neither stack nor descriptors: a
/// directory that is not empty is moved up beside its parent and emptied there. Links are never followed.
///
/// # Errors
/// The first thing that could not be removed, such as a mount point.
pub(crate) fn remove(path: &Path) -> io::Result<()> {
    match std::fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
        Ok(meta) if !meta.is_dir() => return std::fs::remove_file(path),
        Ok(_) => {}
    }
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let top = rustix::fs::openat(rustix::fs::CWD, path, flags, Mode::empty())?;
    let mut flattener = Flattener { top, next: 0, waiting: VecDeque::new() };
    flattener.empty_top()?;
    std::fs::remove_dir(path)
}

/// Opens a directory below the tree, but never what is mounted there: that is not part of it.
fn open_dir(at: &OwnedFd, name: &CStr) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let resolve = ResolveFlags::NO_XDEV | ResolveFlags::NO_SYMLINKS;
    Ok(rustix::fs::openat2(at, name, flags, Mode::empty(), resolve)?)
}

struct Flattener {
    top: OwnedFd,
    next: u64,
    waiting: VecDeque<CString>,
}

impl Flattener {
    fn empty_top(&mut self) -> io::Result<()> {
        let top = open_dir(&self.top, c".")?;
        for name in self.empty_dir(&top, false)? {
            self.waiting.push_back(name);
        }
        while let Some(name) = self.waiting.pop_front() {
            let dir = open_dir(&self.top, &name)?;
            self.empty_dir(&dir, true)?;
            rustix::fs::unlinkat(&self.top, name.as_c_str(), AtFlags::REMOVEDIR)?;
        }
        Ok(())
    }

    /// Removes what can be removed at once. Full directories are moved to the top, or returned when this is the
    /// top already.
    fn empty_dir(&mut self, dir: &OwnedFd, lift: bool) -> io::Result<Vec<CString>> {
        let mut full = Vec::new();
        for name in names_in(dir)? {
            match rustix::fs::unlinkat(dir, name.as_c_str(), AtFlags::empty()) {
                Ok(()) | Err(Errno::NOENT) => continue,
                Err(Errno::ISDIR | Errno::PERM) => {}
                Err(error) => return Err(error.into()),
            }
            match rustix::fs::unlinkat(dir, name.as_c_str(), AtFlags::REMOVEDIR) {
                Ok(()) | Err(Errno::NOENT) => {}
                Err(Errno::NOTEMPTY | Errno::EXIST) if lift => self.lift(dir, &name)?,
                Err(Errno::NOTEMPTY | Errno::EXIST) => full.push(name),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(full)
    }

    fn lift(&mut self, dir: &OwnedFd, name: &CString) -> io::Result<()> {
        loop {
            let lifted = CString::new(format!(".lifted-{}", self.next)).expect("no zero byte in it");
            self.next += 1;
            let flags = rustix::fs::RenameFlags::NOREPLACE;
            match rustix::fs::renameat_with(dir, name.as_c_str(), &self.top, lifted.as_c_str(), flags) {
                Ok(()) => {
                    self.waiting.push_back(lifted);
                    return Ok(());
                }
                Err(Errno::EXIST) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

/// All names first, then the removals: a directory that changes while it is read may skip entries.
fn names_in(dir: &OwnedFd) -> io::Result<Vec<CString>> {
    let mut names = Vec::new();
    for entry in Dir::read_from(dir)? {
        let entry = entry?;
        let name = entry.file_name();
        if name != c"." && name != c".." {
            names.push(name.to_owned());
        }
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tree_deeper_than_any_path_is_removed() {
        let root = tempfile::tempdir().unwrap();
        let top = root.path().join("deep");
        std::fs::create_dir(&top).unwrap();
        let mut dir = OwnedFd::from(std::fs::File::open(&top).unwrap());
        for level in 0..3_000 {
            rustix::fs::mkdirat(&dir, c"d", Mode::RWXU).unwrap();
            if level % 500 == 0 {
                rustix::fs::mkdirat(&dir, c".lifted-7", Mode::empty()).unwrap();
                rustix::fs::symlinkat(c"/", &dir, c"root").unwrap();
            }
            dir = open_dir(&dir, c"d").unwrap();
        }
        remove(&top).unwrap();
        assert!(!top.exists());
        remove(&top).unwrap();
    }

    #[test]
    fn what_is_mounted_inside_is_left_alone() {
        let root = tempfile::tempdir().unwrap();
        let (kept, gone) = (root.path().join("kept"), root.path().join("gone"));
        std::fs::create_dir_all(kept.join("inner")).unwrap();
        std::fs::create_dir_all(gone.join("deep/mounted")).unwrap();
        rustix::mount::mount_bind(&kept, gone.join("deep/mounted")).unwrap();
        assert!(remove(&gone).is_err());
        let found = rustix::fs::openat(rustix::fs::CWD, &gone, OFlags::PATH, Mode::empty()).is_ok();
        let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
        let target = mounts
            .lines()
            .find_map(|line| line.split(' ').nth(4).filter(|at| at.starts_with(gone.to_str().unwrap())));
        rustix::mount::unmount(target.unwrap(), rustix::mount::UnmountFlags::DETACH).unwrap();
        assert!(found && kept.join("inner").exists());
    }

    #[test]
    fn links_are_removed_and_not_followed() {
        let root = tempfile::tempdir().unwrap();
        let (kept, gone) = (root.path().join("kept"), root.path().join("gone"));
        std::fs::create_dir_all(kept.join("inner")).unwrap();
        std::fs::create_dir(&gone).unwrap();
        std::os::unix::fs::symlink(&kept, gone.join("link")).unwrap();
        remove(&gone).unwrap();
        assert!(kept.join("inner").exists() && !gone.exists());
    }
}
