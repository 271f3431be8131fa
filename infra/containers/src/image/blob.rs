//! Content by its digest: written once, checked on the way in and on the way out.
//!
//! `blobs/sha256/<hex>` is the layout of OCI (image-layout.md), so a registry can serve this directory as it is.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use kogge_model::digest::Digest;
use sha2::{Digest as _, Sha256};

use super::error::ImageError;
use super::limits::Limits;
use crate::durable;

/// The blobs of one store. Clones share the directory.
#[derive(Debug, Clone)]
pub struct BlobStore {
    blobs: PathBuf,
    unfinished: PathBuf,
}

impl BlobStore {
    pub(crate) fn open(root: &Path, unfinished: &Path) -> Result<Self, ImageError> {
        let blobs = root.join("blobs/sha256");
        fs::create_dir_all(&blobs).map_err(ImageError::io("make", &blobs))?;
        Ok(Self { blobs, unfinished: unfinished.to_path_buf() })
    }

    /// Where the blob is, or would be.
    #[must_use]
    pub fn path(&self, digest: &Digest) -> PathBuf {
        self.blobs.join(digest.hex())
    }

    /// Its size in bytes, if it is here.
    #[must_use]
    pub fn size(&self, digest: &Digest) -> Option<u64> {
        fs::metadata(self.path(digest)).ok().map(|meta| meta.len())
    }

    /// Starts a new blob of at most `max_bytes`. Blocking, as everything here: call it from [`crate::Workers`].
    ///
    /// # Errors
    /// When no file can be made.
    pub fn write(&self, max_bytes: u64) -> Result<BlobWriter, ImageError> {
        let path = self.unfinished.join(durable::unfinished_name("blob"));
        let file = File::options()
            .write(true)
            .create_new(true)
            .open(&path)
            .map_err(ImageError::io("make", &path))?;
        Ok(BlobWriter { file, path, hash: Sha256::new(), size: 0, max_bytes, is_kept: false })
    }

    /// Stores `bytes`; storing the same twice is one blob.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn put(&self, bytes: &[u8]) -> Result<Digest, ImageError> {
        let mut writer = self.write(bytes.len() as u64)?;
        writer.append(bytes)?;
        self.keep(writer, None)
    }

    /// Copies all of `source` into a blob that must have the digest `expected`.
    ///
    /// # Errors
    /// When reading or writing fails, the source is too large, or has another digest; then nothing is kept.
    pub fn copy(&self, source: &mut impl Read, expected: &Digest, limits: &Limits) -> Result<(), ImageError> {
        let mut writer = self.write(limits.blob_bytes)?;
        let mut buffer = vec![0; 128 << 10];
        loop {
            match source.read(&mut buffer) {
                Ok(0) => break,
                Ok(n) => writer.append(&buffer[..n])?,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(ImageError::read(&format!("blob {expected}"))(error)),
            }
        }
        self.keep(writer, Some(expected)).map(drop)
    }

    /// Ends `writer`: its content becomes a blob, durable before its name is.
    ///
    /// # Errors
    /// When the digest is not the `expected` one, or the disk refuses; then nothing is kept.
    pub fn keep(&self, mut writer: BlobWriter, expected: Option<&Digest>) -> Result<Digest, ImageError> {
        let digest = writer.digest();
        check(&format!("blob {}", expected.unwrap_or(&digest)), expected, &digest)?;
        writer.file.sync_all().map_err(ImageError::io("flush", &writer.path))?;
        writer.is_kept = true;
        self.adopt(&writer.path, &digest)?;
        Ok(digest)
    }

    /// Gives the finished, flushed file at `path` its blob's name.
    pub(crate) fn adopt(&self, path: &Path, digest: &Digest) -> Result<(), ImageError> {
        durable::rename(path, &self.path(digest)).map_err(ImageError::io("keep", path))
    }

    /// A reader that fails at the end when the content is not what the digest says.
    ///
    /// # Errors
    /// When the blob is not here.
    pub fn read(&self, digest: &Digest) -> Result<BlobReader, ImageError> {
        let path = self.path(digest);
        let file = File::open(&path).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => ImageError::NotFound { reference: digest.to_string() },
            _ => ImageError::io("open", &path)(error),
        })?;
        Ok(BlobReader { file, expected: *digest, hash: Some(Sha256::new()) })
    }

    /// The whole of a small blob, checked.
    ///
    /// # Errors
    /// When it is not here, larger than `max_bytes`, or damaged.
    pub fn read_small(&self, digest: &Digest, max_bytes: u64) -> Result<Vec<u8>, ImageError> {
        let mut reader = self.read(digest)?;
        let what = format!("blob {digest}");
        if self.size(digest).is_some_and(|size| size > max_bytes) {
            return Err(ImageError::TooLarge { what, limit: max_bytes, unit: "bytes" });
        }
        let mut bytes = Vec::new();
        reader.read_to_end(&mut bytes).map_err(ImageError::read(&what))?;
        Ok(bytes)
    }

    /// Every blob with its size in bytes.
    ///
    /// # Errors
    /// When the directory cannot be read.
    pub fn list(&self) -> Result<Vec<(Digest, u64)>, ImageError> {
        let mut found = Vec::new();
        for entry in fs::read_dir(&self.blobs).map_err(ImageError::io("list", &self.blobs))? {
            let entry = entry.map_err(ImageError::io("list", &self.blobs))?;
            let name = entry.file_name();
            let digest = name.to_str().and_then(|hex| format!("sha256:{hex}").parse().ok());
            if let (Some(digest), Ok(meta)) = (digest, entry.metadata()) {
                found.push((digest, meta.len()));
            }
        }
        Ok(found)
    }

    pub(crate) fn remove(&self, digest: &Digest) -> Result<(), ImageError> {
        let path = self.path(digest);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(ImageError::io("remove", &path)(error))
            }
            _ => Ok(()),
        }
    }
}

/// A blob on its way in; dropping it leaves nothing.
#[derive(Debug)]
pub struct BlobWriter {
    file: File,
    path: PathBuf,
    hash: Sha256,
    size: u64,
    max_bytes: u64,
    is_kept: bool,
}

impl BlobWriter {
    /// Adds `bytes` at the end.
    ///
    /// # Errors
    /// When the bound is passed or the disk refuses.
    pub fn append(&mut self, bytes: &[u8]) -> Result<(), ImageError> {
        self.size += bytes.len() as u64;
        if self.size > self.max_bytes {
            return Err(ImageError::TooLarge {
                what: "a blob".to_owned(),
                limit: self.max_bytes,
                unit: "bytes",
            });
        }
        self.hash.update(bytes);
        self.file.write_all(bytes).map_err(ImageError::io("write", &self.path))
    }

    /// Bytes so far.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// The digest of the bytes so far.
    #[must_use]
    pub fn digest(&self) -> Digest {
        Digest::from_bytes(self.hash.clone().finalize().into())
    }
}

/// For encoders that want to write; see [`BlobWriter::append`].
impl Write for BlobWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.append(bytes).map_err(ImageError::into_io)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for BlobWriter {
    fn drop(&mut self) {
        if !self.is_kept {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// See [`BlobStore::read`].
#[derive(Debug)]
pub struct BlobReader {
    file: File,
    expected: Digest,
    hash: Option<Sha256>,
}

impl Read for BlobReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.file.read(buffer)?;
        if n > 0 {
            if let Some(hash) = &mut self.hash {
                hash.update(&buffer[..n]);
            }
        } else if !buffer.is_empty()
            && let Some(hash) = self.hash.take()
        {
            let actual = Digest::from_bytes(hash.finalize().into());
            check(&format!("blob {}", self.expected), Some(&self.expected), &actual)
                .map_err(ImageError::into_io)?;
        }
        Ok(n)
    }
}

pub(crate) fn check(what: &str, expected: Option<&Digest>, actual: &Digest) -> Result<(), ImageError> {
    match expected {
        Some(expected) if expected != actual => {
            Err(ImageError::DigestMismatch { what: what.to_owned(), expected: *expected, actual: *actual })
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_keeps_its_promise_stays() {
        let root = tempfile::tempdir().unwrap();
        let unfinished = root.path().join("unfinished");
        fs::create_dir(&unfinished).unwrap();
        let store = BlobStore::open(root.path(), &unfinished).unwrap();
        let digest = store.put(b"hello").unwrap();
        assert_eq!(store.put(b"hello").unwrap(), digest);
        assert_eq!(store.read_small(&digest, 5).unwrap(), b"hello");
        assert!(matches!(store.read_small(&digest, 4), Err(ImageError::TooLarge { .. })));

        let limits = Limits::default();
        let error = store.copy(&mut b"other".as_slice(), &digest, &limits).unwrap_err();
        assert!(matches!(error, ImageError::DigestMismatch { .. }), "{error}");
        let small = Limits { blob_bytes: 2, ..limits };
        assert!(store.copy(&mut b"hello".as_slice(), &digest, &small).is_err());
        assert_eq!(fs::read_dir(&unfinished).unwrap().count(), 0, "refused content leaves nothing");

        fs::write(store.path(&digest), b"hellO").unwrap();
        let error = store.read_small(&digest, 5).unwrap_err();
        assert!(matches!(error, ImageError::DigestMismatch { .. }), "damage on the disk is seen: {error}");
        assert!(store.read_small(&Digest::of(b"none"), 5).is_err());
    }
}
