//! Tar archives from strangers, entry by entry, with a bound on every header.
//!
//! Reads ustar, pax (POSIX.1-2017, pax, "pax Header Block") and GNU long names. The `tar` crate's own iterator
//! takes extended headers of any size into memory, so only its field parsing is used here.

use std::io::{self, Read};

use tar::{EntryType, Header};

use super::error::ImageError;
use super::limits::Limits;

const BLOCK: usize = 512;

/// What an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum EntryKind {
    File,
    Directory,
    Symlink,
    HardLink,
    Fifo,
    /// A block or character device.
    Device,
}

/// One entry's description; its bytes are read from the stream.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) path: Vec<u8>,
    pub(crate) link: Vec<u8>,
    pub(crate) kind: EntryKind,
    pub(crate) mode: u32,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    /// Seconds since the Unix epoch.
    pub(crate) mtime: i64,
    pub(crate) size: u64,
    pub(crate) xattrs: Vec<(Vec<u8>, Vec<u8>)>,
}

/// A stream of entries; reading gives the bytes of the entry returned last.
pub(crate) struct TarStream<R> {
    inner: R,
    what: String,
    limits: Limits,
    entries: u64,
    data_left: u64,
    padding: u64,
    is_at_end: bool,
}

/// What extended headers say about the entry that follows them.
#[derive(Default)]
struct Extension {
    path: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
    size: Option<u64>,
    uid: Option<u64>,
    gid: Option<u64>,
    mtime: Option<i64>,
    xattrs: Vec<(Vec<u8>, Vec<u8>)>,
    is_sparse: bool,
    bytes: u64,
}

impl<R: Read> TarStream<R> {
    pub(crate) fn new(inner: R, limits: &Limits, what: &str) -> Self {
        Self {
            inner,
            what: what.to_owned(),
            limits: limits.clone(),
            entries: 0,
            data_left: 0,
            padding: 0,
            is_at_end: false,
        }
    }

    pub(crate) fn into_inner(self) -> R {
        self.inner
    }

    /// The next entry, after skipping what was not read of the one before.
    pub(crate) fn next_entry(&mut self) -> Result<Option<Entry>, ImageError> {
        let mut extension = Extension::default();
        loop {
            self.skip(self.data_left + self.padding)?;
            let Some(header) = self.next_header()? else { return Ok(None) };
            self.entries += 1;
            if self.entries > self.limits.entries {
                return Err(self.too_large(self.limits.entries, "entries"));
            }
            let size = header.entry_size().map_err(|error| ImageError::malformed(&*self.what, error))?;
            self.set_data(size);
            match header.entry_type() {
                EntryType::XHeader => self.read_pax(&mut extension, size)?,
                EntryType::GNULongName => {
                    extension.path = Some(self.read_long_name(&mut extension.bytes, size)?)
                }
                EntryType::GNULongLink => {
                    extension.link = Some(self.read_long_name(&mut extension.bytes, size)?)
                }
                EntryType::XGlobalHeader => self.read_extension(&mut 0, size).map(drop)?,
                kind => return self.entry(&header, kind, extension).map(Some),
            }
        }
    }

    fn entry(&mut self, header: &Header, kind: EntryType, extension: Extension) -> Result<Entry, ImageError> {
        let what = self.what.clone();
        let malformed = |error: io::Error| ImageError::malformed(&*what, error);
        let path = extension.path.unwrap_or_else(|| header.path_bytes().into_owned());
        let unsupported = |why: &str| ImageError::Unsupported { what: what.clone(), why: why.to_owned() };
        if extension.is_sparse || kind == EntryType::GNUSparse {
            return Err(unsupported("it has sparse files"));
        }
        let is_directory_by_name = path.last() == Some(&b'/');
        let kind = match kind {
            EntryType::Regular | EntryType::Continuous if is_directory_by_name => EntryKind::Directory,
            EntryType::Regular | EntryType::Continuous => EntryKind::File,
            EntryType::Directory => EntryKind::Directory,
            EntryType::Symlink => EntryKind::Symlink,
            EntryType::Link => EntryKind::HardLink,
            EntryType::Fifo => EntryKind::Fifo,
            EntryType::Char | EntryType::Block => EntryKind::Device,
            other => {
                return Err(unsupported(&format!(
                    "it has an entry of type {:?}",
                    char::from(other.as_byte())
                )));
            }
        };
        let link = match extension.link {
            Some(link) => link,
            None => header.link_name_bytes().map(std::borrow::Cow::into_owned).unwrap_or_default(),
        };
        // Only files carry bytes, whatever the size field of the others says; Docker's own reader agrees.
        let has_bytes = kind == EntryKind::File;
        let size = if has_bytes { extension.size.unwrap_or(self.data_left) } else { 0 };
        self.set_data(size);
        let id = |field: Result<u64, io::Error>, pax: Option<u64>, raw: &[u8]| {
            let id = match pax {
                Some(id) => id,
                None if is_blank(raw) => 0,
                None => field.map_err(malformed)?,
            };
            u32::try_from(id).map_err(|_| ImageError::hostile(&path, "its owner does not fit 32 bits"))
        };
        let old = header.as_old();
        let (uid, gid) =
            (id(header.uid(), extension.uid, &old.uid)?, id(header.gid(), extension.gid, &old.gid)?);
        let mode = if is_blank(&old.mode) { 0 } else { header.mode().map_err(malformed)? };
        let mtime =
            extension.mtime.unwrap_or_else(|| header.mtime().map_or(0, |t| i64::try_from(t).unwrap_or(0)));
        Ok(Entry { path, link, kind, mode: mode & 0o7777, uid, gid, mtime, size, xattrs: extension.xattrs })
    }

    fn next_header(&mut self) -> Result<Option<Header>, ImageError> {
        if self.is_at_end {
            return Ok(None);
        }
        let mut block = [0; BLOCK];
        let mut filled = 0;
        while filled < BLOCK {
            match self.inner.read(&mut block[filled..]) {
                Ok(0) if filled == 0 => {
                    self.is_at_end = true;
                    return Ok(None);
                }
                Ok(0) => return Err(ImageError::malformed(&*self.what, "it ends inside a header")),
                Ok(n) => filled += n,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(ImageError::read(&self.what)(error)),
            }
        }
        if block.iter().all(|&byte| byte == 0) {
            self.is_at_end = true;
            return Ok(None);
        }
        let header = Header::from_byte_slice(&block).clone();
        // The checksum field itself counts as spaces; some writers summed signed bytes, none does today.
        let sum: u32 = block.iter().map(|&b| u32::from(b)).sum();
        let own: u32 = block[148..156].iter().map(|&b| u32::from(b)).sum();
        if header.cksum().ok() != Some(sum - own + 8 * 32) {
            return Err(ImageError::malformed(&*self.what, "a tar header has a wrong checksum"));
        }
        Ok(Some(header))
    }

    fn set_data(&mut self, size: u64) {
        self.data_left = size;
        self.padding = (BLOCK as u64 - size % BLOCK as u64) % BLOCK as u64;
    }

    fn skip(&mut self, bytes: u64) -> Result<(), ImageError> {
        let skipped = io::copy(&mut (&mut self.inner).take(bytes), &mut io::sink());
        if skipped.map_err(ImageError::read(&self.what))? != bytes {
            return Err(ImageError::malformed(&*self.what, "it ends inside an entry"));
        }
        (self.data_left, self.padding) = (0, 0);
        Ok(())
    }

    /// The bytes of an extended header; all of one entry together stay within the bound.
    fn read_extension(&mut self, so_far: &mut u64, size: u64) -> Result<Vec<u8>, ImageError> {
        *so_far = so_far.saturating_add(size);
        if *so_far > self.limits.header_bytes {
            return Err(self.too_large(self.limits.header_bytes, "bytes of extended headers"));
        }
        let mut bytes = Vec::new();
        self.read_to_end(&mut bytes).map_err(ImageError::read(&self.what))?;
        if bytes.len() as u64 != size {
            return Err(ImageError::malformed(&*self.what, "it ends inside an extended header"));
        }
        Ok(bytes)
    }

    fn read_long_name(&mut self, so_far: &mut u64, size: u64) -> Result<Vec<u8>, ImageError> {
        let mut name = self.read_extension(so_far, size)?;
        while name.last() == Some(&0) {
            name.pop();
        }
        Ok(name)
    }

    fn read_pax(&mut self, extension: &mut Extension, size: u64) -> Result<(), ImageError> {
        let bytes = self.read_extension(&mut extension.bytes, size)?;
        let mut rest = bytes.as_slice();
        while !rest.is_empty() {
            let (key, value, next) = pax_record(rest)
                .ok_or_else(|| ImageError::malformed(&*self.what, "a pax record is broken"))?;
            extension.apply(key, value).map_err(|why| ImageError::malformed(&*self.what, why))?;
            rest = next;
        }
        Ok(())
    }

    fn too_large(&self, limit: u64, unit: &'static str) -> ImageError {
        ImageError::TooLarge { what: self.what.clone(), limit, unit }
    }
}

impl<R: Read> Read for TarStream<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let room = usize::try_from(self.data_left).unwrap_or(usize::MAX).min(buffer.len());
        if room == 0 {
            // Decoders take a read into nothing as a fault.
            return Ok(0);
        }
        let n = self.inner.read(&mut buffer[..room])?;
        self.data_left -= n as u64;
        Ok(n)
    }
}

/// Some writers leave fields empty that they mean to be zero.
fn is_blank(field: &[u8]) -> bool {
    field.iter().all(|&byte| byte == 0 || byte == b' ')
}

/// Splits `"<length> <key>=<value>\n"`; the length counts the whole record, so values may hold any byte.
fn pax_record(bytes: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let space = bytes.iter().take(20).position(|&b| b == b' ')?;
    let length: usize = std::str::from_utf8(&bytes[..space]).ok()?.parse().ok()?;
    let record = bytes.get(space + 1..length)?.strip_suffix(b"\n")?;
    let equals = record.iter().position(|&b| b == b'=')?;
    Some((&record[..equals], &record[equals + 1..], &bytes[length..]))
}

impl Extension {
    fn apply(&mut self, key: &[u8], value: &[u8]) -> Result<(), &'static str> {
        let number = || std::str::from_utf8(value).ok().and_then(|text| text.parse::<u64>().ok());
        match key {
            b"path" => self.path = Some(value.to_vec()),
            b"linkpath" => self.link = Some(value.to_vec()),
            b"size" => self.size = Some(number().ok_or("a pax size is no number")?),
            b"uid" => self.uid = Some(number().ok_or("a pax uid is no number")?),
            b"gid" => self.gid = Some(number().ok_or("a pax gid is no number")?),
            b"mtime" => self.mtime = Some(whole_seconds(value).ok_or("a pax mtime is no number")?),
            _ if key.starts_with(b"GNU.sparse.") => self.is_sparse = true,
            _ => {
                if let Some(name) = key.strip_prefix(b"SCHILY.xattr.") {
                    self.xattrs.push((name.to_vec(), value.to_vec()));
                }
            }
        }
        Ok(())
    }
}

fn whole_seconds(value: &[u8]) -> Option<i64> {
    let text = std::str::from_utf8(value).ok()?;
    text.split_once('.').map_or(text, |(whole, _)| whole).parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries(bytes: &[u8], limits: &Limits) -> Result<Vec<(Entry, Vec<u8>)>, ImageError> {
        let mut stream = TarStream::new(bytes, limits, "the archive");
        let mut found = Vec::new();
        while let Some(entry) = stream.next_entry()? {
            let mut data = Vec::new();
            stream.read_to_end(&mut data).map_err(ImageError::read("data"))?;
            found.push((entry, data));
        }
        Ok(found)
    }

    fn archive(add: impl FnOnce(&mut tar::Builder<Vec<u8>>)) -> Vec<u8> {
        let mut builder = tar::Builder::new(Vec::new());
        add(&mut builder);
        builder.into_inner().unwrap()
    }

    fn header(kind: EntryType, size: u64) -> Header {
        let mut header = Header::new_ustar();
        header.set_entry_type(kind);
        header.set_size(size);
        header.set_mode(0o4755);
        header.set_uid(7);
        header.set_gid(8);
        header.set_mtime(9);
        header
    }

    #[test]
    fn long_names_and_binary_attributes_come_out_whole() {
        let long = "d/".repeat(120) + "file";
        let bytes = archive(|builder| {
            let xattr: &[u8] = b"\x01\n=\n\0";
            builder
                .append_pax_extensions([("SCHILY.xattr.user.x", xattr), ("mtime", b"12.75".as_slice())])
                .unwrap();
            builder.append_data(&mut header(EntryType::Regular, 3), "plain", b"abc".as_slice()).unwrap();
            builder.append_data(&mut header(EntryType::Regular, 2), &long, b"xy".as_slice()).unwrap();
        });
        let found = entries(&bytes, &Limits::default()).unwrap();
        assert_eq!(
            (found[0].0.path.as_slice(), found[0].1.as_slice()),
            (b"plain".as_slice(), b"abc".as_slice())
        );
        assert_eq!(found[0].0.xattrs, [(b"user.x".to_vec(), b"\x01\n=\n\0".to_vec())]);
        assert_eq!((found[0].0.mtime, found[0].0.mode, found[0].0.uid), (12, 0o4755, 7));
        assert_eq!((found[1].0.path.as_slice(), found[1].1.as_slice()), (long.as_bytes(), b"xy".as_slice()));
    }

    #[test]
    fn huge_headers_and_too_many_entries_are_refused() {
        let mut huge = header(EntryType::GNULongName, 8 << 30);
        huge.set_cksum();
        let error = entries(huge.as_bytes(), &Limits::default()).unwrap_err();
        assert!(matches!(error, ImageError::TooLarge { .. }), "{error}");
        let many = archive(|builder| {
            for n in 0..5 {
                builder
                    .append_data(&mut header(EntryType::Regular, 0), format!("f{n}"), io::empty())
                    .unwrap();
            }
        });
        let error = entries(&many, &Limits { entries: 4, ..Limits::default() }).unwrap_err();
        assert!(matches!(error, ImageError::TooLarge { .. }), "{error}");
    }

    #[test]
    fn broken_archives_are_told_as_such() {
        let whole = archive(|builder| {
            builder.append_data(&mut header(EntryType::Regular, 900), "f", [7u8; 900].as_slice()).unwrap();
        });
        assert!(entries(&whole[..700], &Limits::default()).is_err(), "cut inside the data");
        assert!(entries(&whole[..300], &Limits::default()).is_err(), "cut inside the header");
        let mut flipped = whole;
        flipped[0] ^= 1;
        let error = entries(&flipped, &Limits::default()).unwrap_err().to_string();
        assert!(error.contains("checksum"), "{error}");
    }
}
