//! A tar archive, set down file by file beside the blobs.
//!
//! The document that explains an archive often comes last, so its files wait here, hashed on the way. Those that
//! turn out to be blobs are renamed, not copied. Names from the archive are keys only: no file is named by them.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use kogge_model::digest::Digest;
use sha2::{Digest as _, Sha256};

use super::super::blob::{BlobStore, check};
use super::super::compression::unpacked;
use super::super::error::ImageError;
use super::super::lease::Lease;
use super::super::limits::Limits;
use super::super::manifest::MAX_DOCUMENT_BYTES;
use super::super::tar_stream::{EntryKind, TarStream};
use super::{Files, missing};
use crate::{durable, tree};

const WHAT: &str = "the archive";
/// Docker writes a link for a layer that two images share; honest archives need no chains.
const MAX_LINKS: usize = 4;

/// See the module. Dropping it removes what was not adopted.
pub(crate) struct Spool {
    dir: PathBuf,
    files: BTreeMap<String, Spooled>,
    links: BTreeMap<String, String>,
}

struct Spooled {
    path: PathBuf,
    digest: Digest,
    size: u64,
}

impl Spool {
    /// Reads `source` to its end, unpacking it if it is packed.
    pub(crate) fn fill(source: impl Read, unfinished: &Path, limits: &Limits) -> Result<Self, ImageError> {
        let dir = unfinished.join(durable::unfinished_name("spool"));
        fs::create_dir(&dir).map_err(ImageError::io("make", &dir))?;
        let mut spool = Self { dir, files: BTreeMap::new(), links: BTreeMap::new() };
        let mut stream = TarStream::new(unpacked(source, limits, WHAT)?, limits, WHAT);
        while let Some(entry) = stream.next_entry()? {
            let name = name(&entry.path)?;
            match entry.kind {
                EntryKind::File => spool.set_down(name, entry.size, &mut stream, limits)?,
                EntryKind::Symlink => {
                    let target = String::from_utf8_lossy(&entry.link).into_owned();
                    let dir = name.rsplit_once('/').map_or("", |(dir, _)| dir);
                    spool.links.insert(name.clone(), join(dir, &target));
                }
                EntryKind::HardLink => {
                    let target = self::name(&entry.link)?;
                    spool.links.insert(name, target);
                }
                EntryKind::Directory | EntryKind::Fifo | EntryKind::Device => {}
            }
        }
        io::copy(&mut stream.into_inner(), &mut io::sink()).map_err(ImageError::read(WHAT))?;
        Ok(spool)
    }

    fn set_down(
        &mut self,
        name: String,
        size: u64,
        data: &mut impl Read,
        limits: &Limits,
    ) -> Result<(), ImageError> {
        if size > limits.blob_bytes {
            return Err(ImageError::TooLarge { what: name, limit: limits.blob_bytes, unit: "bytes" });
        }
        let path = self.dir.join(self.files.len().to_string());
        let mut file = File::create_new(&path).map_err(ImageError::io("make", &path))?;
        let mut hash = Sha256::new();
        let mut buffer = vec![0; 128 << 10];
        let mut written = 0;
        loop {
            let n = data.read(&mut buffer).map_err(ImageError::read(WHAT))?;
            if n == 0 {
                break;
            }
            hash.update(&buffer[..n]);
            file.write_all(&buffer[..n]).map_err(ImageError::io("write", &path))?;
            written += n as u64;
        }
        if written != size {
            return Err(ImageError::malformed(WHAT, format!("it ends inside {name}")));
        }
        let digest = Digest::from_bytes(hash.finalize().into());
        self.links.remove(&name);
        if self.files.contains_key(&name) {
            return Err(ImageError::malformed(WHAT, format!("{name} is in it twice")));
        }
        self.files.insert(name, Spooled { path, digest, size });
        Ok(())
    }

    fn find(&self, name: &str) -> Option<&Spooled> {
        let mut name = name;
        for _ in 0..=MAX_LINKS {
            if let Some(file) = self.files.get(name) {
                return Some(file);
            }
            name = self.links.get(name)?;
        }
        None
    }
}

impl Files for Spool {
    fn read_small(&self, name: &str) -> Result<Option<Vec<u8>>, ImageError> {
        let Some(file) = self.find(name) else { return Ok(None) };
        if file.size > MAX_DOCUMENT_BYTES {
            let limit = MAX_DOCUMENT_BYTES;
            return Err(ImageError::TooLarge { what: name.to_owned(), limit, unit: "bytes" });
        }
        fs::read(&file.path).map(Some).map_err(ImageError::io("read", &file.path))
    }

    fn adopt(
        &self,
        name: &str,
        expected: Option<&Digest>,
        blobs: &BlobStore,
        lease: &mut Lease,
        _limits: &Limits,
    ) -> Result<Digest, ImageError> {
        let file = match (self.find(name), expected) {
            (Some(file), _) => file,
            // Archives of layers that the receiver has may leave them out.
            (None, Some(expected)) => {
                lease.add(*expected);
                return if blobs.size(expected).is_some() { Ok(*expected) } else { Err(missing(name)) };
            }
            (None, None) => return Err(missing(name)),
        };
        check(name, expected, &file.digest)?;
        lease.add(file.digest);
        if blobs.size(&file.digest).is_none() {
            let handle = File::open(&file.path).map_err(ImageError::io("open", &file.path))?;
            handle.sync_all().map_err(ImageError::io("flush", &file.path))?;
            // A copy by link: the same file may also be read as a document, or adopted under a second name.
            let copy = self.dir.join(durable::unfinished_name("blob"));
            fs::hard_link(&file.path, &copy).map_err(ImageError::io("link", &copy))?;
            blobs.adopt(&copy, &file.digest)?;
        }
        Ok(file.digest)
    }
}

impl Drop for Spool {
    fn drop(&mut self) {
        if let Err(error) = tree::remove(&self.dir) {
            tracing::warn!(dir = %self.dir.display(), %error, "could not remove a spool");
        }
    }
}

fn name(path: &[u8]) -> Result<String, ImageError> {
    let text = std::str::from_utf8(path).map_err(|_| ImageError::hostile(path, "its name is no UTF-8"))?;
    if text.split('/').any(|part| part == "..") {
        return Err(ImageError::hostile(path, "its path has `..` in it"));
    }
    Ok(join("", text))
}

/// Joins names by their text alone; `..` at the top is dropped.
fn join(dir: &str, target: &str) -> String {
    let mut parts: Vec<&str> = if target.starts_with('/') { Vec::new() } else { dir.split('/').collect() };
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            _ => parts.push(part),
        }
    }
    parts.retain(|part| !part.is_empty());
    parts.join("/")
}
