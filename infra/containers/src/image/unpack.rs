//! Unpacking one layer into a directory, whatever the layer tries.
//!
//! Each layer is unpacked alone; overlayfs joins them later, so whiteouts become overlayfs's own marks
//! (image-spec, layer.md, "Whiteouts"). What is refused: `..`, zero bytes, names that are too long or deep, hard
//! links to outside or to marks, whiteouts of the parent, sparse files. What is contained: absolute paths and
//! links are taken as inside the root. What is left out: devices, sockets, and attributes other than file
//! capabilities, ACLs and `user.*`; a container has its own `/dev`, and its device rules forbid the rest anyway.

use std::ffi::CString;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::fs::{AtFlags, FileType, Gid, Mode, OFlags, Uid, XattrFlags};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use super::error::ImageError;
use super::limits::Limits;
use super::rooted::{self, RootDir, c_name};
use super::tar_stream::{Entry, EntryKind, TarStream};

/// What unpacking a layer came to.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct LayerSummary {
    /// Bytes of all its files.
    pub(crate) bytes: u64,
    /// Names made, marks included.
    pub(crate) entries: u64,
    /// Device nodes that were left out.
    pub(crate) skipped_devices: u64,
}

/// Unpacks the tar stream `source` into the empty directory `dir`; returns the source, which may have more bytes.
pub(crate) fn unpack<R: Read>(
    source: R,
    dir: &Path,
    limits: &Limits,
    what: &str,
) -> Result<(LayerSummary, R), ImageError> {
    let root = RootDir::open(dir).map_err(ImageError::io("open", dir))?;
    let mut stream = TarStream::new(source, limits, what);
    let mut unpacker =
        Unpacker { root, dir, limits, summary: LayerSummary::default(), parent: None, dir_times: Vec::new() };
    while let Some(entry) = stream.next_entry()? {
        unpacker.entry(&entry, &mut stream)?;
    }
    unpacker.set_dir_times();
    Ok((unpacker.summary, stream.into_inner()))
}

struct Unpacker<'a> {
    root: RootDir,
    /// For messages only.
    dir: &'a Path,
    limits: &'a Limits,
    summary: LayerSummary,
    /// The last parent: archives list a directory's children together.
    parent: Option<(Vec<u8>, OwnedFd)>,
    /// Set at the end, since adding children changes them.
    dir_times: Vec<(Vec<u8>, i64)>,
}

impl Unpacker<'_> {
    fn entry(&mut self, entry: &Entry, data: &mut impl Read) -> Result<(), ImageError> {
        let components = components(&entry.path, self.limits.depth)?;
        let Some((&name, parents)) = components.split_last() else {
            return self.root_itself(entry);
        };
        if entry.kind == EntryKind::Device {
            self.summary.skipped_devices += 1;
            return Ok(());
        }
        self.enter(parents, &entry.path)?;
        self.summary.entries += 1;
        if let Some(hidden) = name.strip_prefix(b".wh.") {
            return self.whiteout(hidden, entry);
        }
        let name = c_name(name).map_err(|_| ImageError::hostile(&entry.path, "its name has a zero byte"))?;
        self.make_room(&name, entry)?;
        match entry.kind {
            EntryKind::Directory => self.directory(&name, entry, &components),
            EntryKind::File => self.file(&name, entry, data),
            EntryKind::Symlink => self.symlink(&name, entry),
            EntryKind::HardLink => self.hard_link(&name, entry),
            EntryKind::Fifo => self.fifo(&name, entry),
            EntryKind::Device => Ok(()),
        }
    }

    /// `./` describes the root directory of the image.
    fn root_itself(&mut self, entry: &Entry) -> Result<(), ImageError> {
        if entry.kind != EntryKind::Directory {
            return Err(ImageError::hostile(&entry.path, "it would replace the root directory"));
        }
        rooted::set_owner_and_mode(&self.root, entry.uid, entry.gid, entry.mode)
            .map_err(|errno| self.failed("set the owner of", &entry.path, errno))?;
        self.dir_times.push((Vec::new(), entry.mtime));
        Ok(())
    }

    /// Makes `parents` the directory that the next names go to.
    fn enter(&mut self, parents: &[&[u8]], entry_path: &[u8]) -> Result<(), ImageError> {
        let path = parents.join(&b'/');
        if self.parent.as_ref().is_some_and(|(known, _)| *known == path) {
            return Ok(());
        }
        let fd = match self.root.make_dirs(parents) {
            Ok(fd) => fd,
            Err(Errno::NOTDIR) => {
                return Err(ImageError::hostile(
                    entry_path,
                    "a file or link stands where its directory should be",
                ));
            }
            Err(Errno::EXIST | Errno::LOOP) => {
                return Err(ImageError::hostile(entry_path, "its directory is a link that leads nowhere"));
            }
            Err(errno) => return Err(self.failed("open the directory of", entry_path, errno)),
        };
        self.parent = Some((path, fd));
        Ok(())
    }

    fn parent(&self) -> &OwnedFd {
        &self.parent.as_ref().expect("a parent is entered before names are made in it").1
    }

    fn whiteout(&mut self, hidden: &[u8], entry: &Entry) -> Result<(), ImageError> {
        let failed = |this: &Self, errno| this.failed("mark as removed", &entry.path, errno);
        match hidden {
            b".wh..opq" => return rooted::make_opaque(self.parent()).map_err(|errno| failed(self, errno)),
            // Bookkeeping of aufs, which some old builders left in their layers.
            _ if hidden.starts_with(b".wh.") => return Ok(()),
            b"" | b"." | b".." => {
                return Err(ImageError::hostile(&entry.path, "it would remove its own directory"));
            }
            _ => {}
        }
        let name =
            c_name(hidden).map_err(|_| ImageError::hostile(&entry.path, "its name has a zero byte"))?;
        let found = rooted::stat_at(self.parent(), &name).map_err(|errno| failed(self, errno))?;
        match found {
            // A whiteout speaks of the layers below only: what this layer has of that name stays.
            Some(stat) if FileType::from_raw_mode(stat.st_mode) == FileType::Directory => {
                let fd = self.open_child(&name).map_err(|errno| failed(self, errno))?;
                rooted::make_opaque(fd)
            }
            Some(_) => Ok(()),
            None => rooted::make_whiteout(self.parent(), &name),
        }
        .map_err(|errno| failed(self, errno))
    }

    /// Removes what stands where `entry` goes; a directory over a directory stays.
    fn make_room(&mut self, name: &CString, entry: &Entry) -> Result<(), ImageError> {
        let failed = |this: &Self, errno| this.failed("replace", &entry.path, errno);
        let Some(stat) = rooted::stat_at(self.parent(), name).map_err(|errno| failed(self, errno))? else {
            return Ok(());
        };
        let is_dir = FileType::from_raw_mode(stat.st_mode) == FileType::Directory;
        if is_dir && entry.kind == EntryKind::Directory {
            return Ok(());
        }
        if is_dir {
            let fd = self.open_child(name).map_err(|errno| failed(self, errno))?;
            let link = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&fd));
            let path = std::fs::read_link(link).map_err(ImageError::io("find", self.dir))?;
            crate::tree::remove(&path).map_err(ImageError::io("replace", &path))?;
        } else {
            rustix::fs::unlinkat(self.parent(), name.as_c_str(), AtFlags::empty())
                .map_err(|errno| failed(self, errno))?;
        }
        if rooted::is_whiteout(&stat) && entry.kind == EntryKind::Directory {
            // First removed, then made anew: the layers below must not shine through.
            rustix::fs::mkdirat(self.parent(), name.as_c_str(), Mode::RWXU)
                .map_err(|errno| failed(self, errno))?;
            let fd = self.open_child(name).map_err(|errno| failed(self, errno))?;
            rooted::make_opaque(fd).map_err(|errno| failed(self, errno))?;
        }
        Ok(())
    }

    fn open_child(&self, name: &CString) -> Result<OwnedFd, Errno> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        rustix::fs::openat(self.parent(), name.as_c_str(), flags, Mode::empty())
    }

    fn directory(&mut self, name: &CString, entry: &Entry, components: &[&[u8]]) -> Result<(), ImageError> {
        let made = match rustix::fs::mkdirat(self.parent(), name.as_c_str(), Mode::RWXU) {
            Ok(()) | Err(Errno::EXIST) => self.open_child(name),
            Err(errno) => Err(errno),
        };
        let fd = made.map_err(|errno| self.failed("make", &entry.path, errno))?;
        self.dress(&fd, entry)?;
        self.dir_times.push((components.join(&b'/'), entry.mtime));
        Ok(())
    }

    fn file(&mut self, name: &CString, entry: &Entry, data: &mut impl Read) -> Result<(), ImageError> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let fd = rustix::fs::openat(self.parent(), name.as_c_str(), flags, Mode::RUSR | Mode::WUSR)
            .map_err(|errno| self.failed("write", &entry.path, errno))?;
        let mut file = File::from(fd);
        let shown = self.dir.join(String::from_utf8_lossy(&entry.path).trim_start_matches('/'));
        let copied = copy(data, &mut file, entry.size, &shown)?;
        if copied != entry.size {
            return Err(ImageError::malformed("the layer", "it ends inside a file"));
        }
        self.summary.bytes += copied;
        self.dress(&file, entry)?;
        rustix::fs::futimens(&file, &rooted::times(entry.mtime))
            .map_err(|errno| self.failed("set the times of", &entry.path, errno))
    }

    fn symlink(&mut self, name: &CString, entry: &Entry) -> Result<(), ImageError> {
        let target = c_name(&entry.link)
            .map_err(|_| ImageError::hostile(&entry.path, "its target has a zero byte"))?;
        // Where a link points is the container's affair: it is only ever followed inside the root.
        let linked = rustix::fs::symlinkat(target.as_c_str(), self.parent(), name.as_c_str());
        linked
            .and_then(|()| self.own_and_date(name, entry))
            .map_err(|errno| self.failed("link", &entry.path, errno))
    }

    fn fifo(&mut self, name: &CString, entry: &Entry) -> Result<(), ImageError> {
        let mode = Mode::from_raw_mode(entry.mode);
        let made = rustix::fs::mknodat(self.parent(), name.as_c_str(), FileType::Fifo, mode, 0);
        made.and_then(|()| self.own_and_date(name, entry))
            .and_then(|()| rustix::fs::chmodat(self.parent(), name.as_c_str(), mode, AtFlags::empty()))
            .map_err(|errno| self.failed("make", &entry.path, errno))
    }

    fn hard_link(&mut self, name: &CString, entry: &Entry) -> Result<(), ImageError> {
        let target = components(&entry.link, self.limits.depth)?;
        let Some((&target_name, target_parents)) = target.split_last() else {
            return Err(ImageError::hostile(&entry.path, "it links to a directory"));
        };
        if target_name.starts_with(b".wh.") {
            return Err(ImageError::hostile(&entry.path, "it links to a mark of a removed name"));
        }
        let absent = |_| ImageError::hostile(&entry.path, "it links to a file that this layer does not have");
        let target_dir = self.root.open_dir(&target_parents.join(&b'/')).map_err(absent)?;
        let target_name = c_name(target_name).map_err(absent)?;
        let stat = rooted::stat_at(&target_dir, &target_name).map_err(absent)?;
        let stat = stat.ok_or_else(|| absent(Errno::NOENT))?;
        if rooted::is_whiteout(&stat) {
            return Err(ImageError::hostile(&entry.path, "it links to a mark of a removed name"));
        }
        if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
            return Err(ImageError::hostile(&entry.path, "it links to a directory"));
        }
        let linked = rustix::fs::linkat(
            &target_dir,
            target_name.as_c_str(),
            self.parent(),
            name.as_c_str(),
            AtFlags::empty(),
        );
        linked.map_err(|errno| self.failed("link", &entry.path, errno))
    }

    fn own_and_date(&self, name: &CString, entry: &Entry) -> Result<(), Errno> {
        let (uid, gid) = (Uid::from_raw(entry.uid), Gid::from_raw(entry.gid));
        let no_follow = AtFlags::SYMLINK_NOFOLLOW;
        rustix::fs::chownat(self.parent(), name.as_c_str(), Some(uid), Some(gid), no_follow)?;
        rustix::fs::utimensat(self.parent(), name.as_c_str(), &rooted::times(entry.mtime), no_follow)
    }

    /// Owner, mode and the attributes that an image may set.
    fn dress(&self, fd: impl AsFd, entry: &Entry) -> Result<(), ImageError> {
        rooted::set_owner_and_mode(fd.as_fd(), entry.uid, entry.gid, entry.mode)
            .map_err(|errno| self.failed("set the owner of", &entry.path, errno))?;
        for (key, value) in entry.xattrs.iter().filter(|(key, _)| is_allowed_attribute(key)) {
            let key =
                c_name(key).map_err(|_| ImageError::hostile(&entry.path, "an attribute has a zero byte"))?;
            match rustix::fs::fsetxattr(fd.as_fd(), key.as_c_str(), value, XattrFlags::empty()) {
                // The file system keeps no such attributes: files without them are still right enough.
                Ok(()) | Err(Errno::OPNOTSUPP) => {}
                Err(errno) => return Err(self.failed("set an attribute of", &entry.path, errno)),
            }
        }
        Ok(())
    }

    fn set_dir_times(&mut self) {
        for (path, mtime) in self.dir_times.drain(..).rev() {
            // A later entry may have replaced the directory; then its time is that entry's affair.
            if let Ok(fd) = self.root.open_at(&path, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW) {
                let _ = rustix::fs::futimens(fd, &rooted::times(mtime));
            }
        }
    }

    fn failed(&self, action: &'static str, entry: &[u8], errno: Errno) -> ImageError {
        match errno {
            Errno::NAMETOOLONG => ImageError::hostile(entry, "its name is too long"),
            Errno::LOOP => ImageError::hostile(entry, "its directory is a circle of links"),
            _ => {
                let path = self.dir.join(String::from_utf8_lossy(entry).trim_start_matches('/'));
                ImageError::io(action, &path)(errno.into())
            }
        }
    }
}

fn copy(data: &mut impl Read, file: &mut File, size: u64, shown: &Path) -> Result<u64, ImageError> {
    let mut buffer = vec![0; usize::try_from(size).unwrap_or(usize::MAX).clamp(1, 64 << 10)];
    let mut copied = 0;
    loop {
        let n = match data.read(&mut buffer) {
            Ok(0) => return Ok(copied),
            Ok(n) => n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(ImageError::read("the layer")(error)),
        };
        io::Write::write_all(file, &buffer[..n]).map_err(ImageError::io("write", shown))?;
        copied += n as u64;
    }
}

/// `trusted.*` would steer overlayfs itself, `security.*` this machine's own policy.
fn is_allowed_attribute(key: &[u8]) -> bool {
    key.starts_with(b"user.")
        || matches!(key, b"security.capability" | b"system.posix_acl_access" | b"system.posix_acl_default")
}

/// The names on the way; absolute paths are meant from the root, `..` is refused.
fn components(path: &[u8], max_depth: usize) -> Result<Vec<&[u8]>, ImageError> {
    let mut components = Vec::new();
    for name in path.split(|&b| b == b'/') {
        match name {
            b"" | b"." => {}
            b".." => return Err(ImageError::hostile(path, "its path has `..` in it")),
            _ if name.len() > 255 => return Err(ImageError::hostile(path, "its name is too long")),
            _ if name.contains(&0) => return Err(ImageError::hostile(path, "its name has a zero byte")),
            _ => components.push(name),
        }
    }
    if components.len() > max_depth || path.len() > 4095 {
        return Err(ImageError::hostile(path, "its path is too deep or too long"));
    }
    Ok(components)
}
