//! A layout in a directory. Links inside it cannot lead out of it.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use kogge_model::digest::Digest;
use rustix::fs::OFlags;
use rustix::io::Errno;

use super::super::blob::{BlobStore, check};
use super::super::error::ImageError;
use super::super::lease::Lease;
use super::super::limits::Limits;
use super::super::manifest::MAX_DOCUMENT_BYTES;
use super::super::rooted::RootDir;
use super::{Files, missing};

/// See the module.
pub(crate) struct Directory {
    root: RootDir,
    path: PathBuf,
}

impl Directory {
    pub(crate) fn open(path: &Path) -> Result<Self, ImageError> {
        let root = RootDir::open(path).map_err(ImageError::io("open", path))?;
        Ok(Self { root, path: path.to_path_buf() })
    }
}

impl Files for Directory {
    fn read_small(&self, name: &str) -> Result<Option<Vec<u8>>, ImageError> {
        let read = self.root.read_file(name.as_bytes(), MAX_DOCUMENT_BYTES);
        read.map_err(ImageError::io("read", &self.path.join(name)))
    }

    fn adopt(
        &self,
        name: &str,
        expected: Option<&Digest>,
        blobs: &BlobStore,
        lease: &mut Lease,
        limits: &Limits,
    ) -> Result<Digest, ImageError> {
        if let Some(expected) = expected {
            lease.add(*expected);
            if blobs.size(expected).is_some() {
                return Ok(*expected);
            }
        }
        let path = self.path.join(name);
        let fd = match self.root.open_at(name.as_bytes(), OFlags::RDONLY | OFlags::NONBLOCK) {
            Ok(fd) => fd,
            Err(Errno::NOENT) => return Err(missing(name)),
            Err(errno) => return Err(ImageError::io("open", &path)(errno.into())),
        };
        let mut file = File::from(fd);
        let mut writer = blobs.write(limits.blob_bytes)?;
        let mut buffer = vec![0; 128 << 10];
        loop {
            let n = file.read(&mut buffer).map_err(ImageError::io("read", &path))?;
            if n == 0 {
                break;
            }
            writer.append(&buffer[..n])?;
        }
        let digest = writer.digest();
        check(name, expected, &digest)?;
        lease.add(digest);
        blobs.keep(writer, expected)
    }
}
