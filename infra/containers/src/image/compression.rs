//! Packed streams: told by their first bytes, unpacked within bounds.

use std::cell::Cell;
use std::io::{self, BufRead, BufReader, Read};
use std::rc::Rc;

use kogge_model::digest::Digest;
use sha2::{Digest as _, Sha256};

use super::error::ImageError;
use super::limits::Limits;

/// How a blob or archive is packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Packing {
    Plain,
    Gzip,
    Zstd,
}

impl Packing {
    /// By magic number; media types of archives are not to be trusted, those of registries often wrong.
    pub(crate) fn sniff(head: &[u8]) -> Result<Self, ImageError> {
        let unsupported =
            |why: &str| ImageError::Unsupported { what: "the packing".to_owned(), why: why.to_owned() };
        match head {
            [0x1f, 0x8b, ..] => Ok(Self::Gzip),
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Ok(Self::Zstd),
            [0x42, 0x5a, 0x68, ..] => Err(unsupported("layers are packed by gzip or zstd, not bzip2")),
            [0xfd, 0x37, 0x7a, 0x58, 0x5a, ..] => {
                Err(unsupported("layers are packed by gzip or zstd, not xz"))
            }
            _ => Ok(Self::Plain),
        }
    }

    pub(crate) const fn media_type(self) -> &'static str {
        match self {
            Self::Plain => "application/vnd.oci.image.layer.v1.tar",
            Self::Gzip => "application/vnd.oci.image.layer.v1.tar+gzip",
            Self::Zstd => "application/vnd.oci.image.layer.v1.tar+zstd",
        }
    }
}

/// Unpacks `source`, whatever its packing; fails as soon as a bound of `limits` is passed.
pub(crate) fn unpacked<'a>(
    source: impl Read + 'a,
    limits: &Limits,
    what: &str,
) -> Result<Box<dyn Read + 'a>, ImageError> {
    let packed_bytes = Rc::new(Cell::new(0));
    let counted = CountedReader { inner: source, count: Rc::clone(&packed_bytes) };
    let mut buffered = BufReader::with_capacity(128 << 10, counted);
    let head = buffered.fill_buf().map_err(ImageError::read(what))?;
    let reader: Box<dyn Read + 'a> = match Packing::sniff(head)? {
        Packing::Plain => Box::new(buffered),
        Packing::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(buffered)),
        Packing::Zstd => {
            let decoder =
                zstd::stream::read::Decoder::with_buffer(buffered).map_err(ImageError::read(what))?;
            Box::new(decoder)
        }
    };
    let (limits, what) = (limits.clone(), what.to_owned());
    Ok(Box::new(BoundedReader { inner: reader, packed_bytes, unpacked_bytes: 0, limits, what }))
}

struct CountedReader<R> {
    inner: R,
    count: Rc<Cell<u64>>,
}

impl<R: Read> Read for CountedReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buffer)?;
        self.count.set(self.count.get() + n as u64);
        Ok(n)
    }
}

/// Stops a bomb: by its total size, or by how much it grows while unpacking.
struct BoundedReader<R> {
    inner: R,
    packed_bytes: Rc<Cell<u64>>,
    unpacked_bytes: u64,
    limits: Limits,
    what: String,
}

impl<R: Read> Read for BoundedReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buffer)?;
        self.unpacked_bytes += n as u64;
        let too_large = |limit, unit| ImageError::TooLarge { what: self.what.clone(), limit, unit }.into_io();
        if self.unpacked_bytes > self.limits.unpacked_bytes {
            return Err(too_large(self.limits.unpacked_bytes, "unpacked bytes"));
        }
        let honest = self.packed_bytes.get().saturating_mul(self.limits.ratio);
        if self.unpacked_bytes > honest.saturating_add(self.limits.ratio_free_bytes) {
            return Err(too_large(self.limits.ratio, "times its packed size"));
        }
        Ok(n)
    }
}

/// Hashes all that passes.
pub(crate) struct HashingReader<R> {
    inner: R,
    hash: Sha256,
}

impl<R: Read> HashingReader<R> {
    pub(crate) fn new(inner: R) -> Self {
        Self { inner, hash: Sha256::new() }
    }

    /// Reads what is left, so that the digest covers the whole stream, and returns it.
    pub(crate) fn finish(mut self, what: &str) -> Result<Digest, ImageError> {
        io::copy(&mut self, &mut io::sink()).map_err(ImageError::read(what))?;
        Ok(Digest::from_bytes(self.hash.finalize().into()))
    }
}

impl<R: Read> Read for HashingReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buffer)?;
        self.hash.update(&buffer[..n]);
        Ok(n)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn read_all(bytes: &[u8], limits: &Limits) -> Result<Vec<u8>, ImageError> {
        let mut out = Vec::new();
        unpacked(bytes, limits, "it")?.read_to_end(&mut out).map_err(ImageError::read("it"))?;
        Ok(out)
    }

    #[test]
    fn all_three_packings_come_out_the_same() {
        let text = b"some words ".repeat(1000);
        let limits = Limits::default();
        for packed in [text.clone(), gzip(&text), zstd::encode_all(&text[..], 3).unwrap()] {
            assert_eq!(read_all(&packed, &limits).unwrap(), text);
        }
        assert!(matches!(read_all(b"BZh9...", &limits), Err(ImageError::Unsupported { .. })));
        assert!(read_all(&gzip(&text)[..60], &limits).is_err(), "a cut stream is an error");
    }

    #[test]
    fn a_bomb_is_stopped_by_size_and_by_ratio() {
        let bomb = gzip(&vec![0; 4 << 20]);
        let by_size = Limits { unpacked_bytes: 1 << 20, ..Limits::default() };
        let error = read_all(&bomb, &by_size).unwrap_err().to_string();
        assert!(error.contains("unpacked bytes"), "{error}");
        let by_ratio = Limits { ratio: 100, ratio_free_bytes: 0, ..Limits::default() };
        let error = read_all(&bomb, &by_ratio).unwrap_err().to_string();
        assert!(error.contains("packed size"), "{error}");
    }
}
