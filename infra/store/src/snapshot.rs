//! Backups: the whole store at one revision as one stream, the same from every engine.
//!
//! ```text
//! stream  "KOGGE-STATE" format:1 revision:8 entry* 0:1 count:8 sha256:32      numbers little-endian
//! entry   1:1 key_len:2 key created:8 modified:8 version:8 value_len:4 value
//! ```
//!
//! Keys owned by a lease are left out: after a restore their owners are gone or come back by themselves.

use std::io::{self, Read};

use bytes::Bytes;
use sha2::{Digest, Sha256};
use thiserror::Error;
use tokio::io::{AsyncWrite, AsyncWriteExt};

use crate::{Entry, Key, MAX_KEY_BYTES, MAX_VALUE_BYTES, Range, ReadError, Revision, Store};

const MAGIC: &[u8; 11] = b"KOGGE-STATE";
const FORMAT: u8 = 1;
const ENTRY: u8 = 1;
const END: u8 = 0;
const PAGE: usize = 512;

/// What a snapshot holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Summary {
    /// The revision of the store when it was taken.
    pub revision: Revision,
    /// Entries in it.
    pub entries: u64,
}

/// A snapshot that could not be taken.
#[derive(Debug, Error)]
pub enum WriteError {
    /// The store did not answer, or moved on too far between two pages: try again.
    #[error("cannot read the store for a snapshot")]
    Store(#[from] ReadError),
    /// The sink did not take it.
    #[error("cannot write the snapshot")]
    Sink(#[from] io::Error),
}

/// Writes everything in `store` to `sink`, at one revision, and flushes. Holds one page in memory.
///
/// # Errors
/// When the store cannot be read or the sink not be written; what was written then has no valid end.
pub async fn write(store: &dyn Store, sink: &mut (impl AsyncWrite + Unpin)) -> Result<Summary, WriteError> {
    let mut digest = Sha256::new();
    let mut summary = None;
    let mut request = Some(Range::prefix(Key::ALL).paged(PAGE));
    while let Some(range) = request {
        let page = store.range(range.clone()).await?;
        let mut out = Vec::new();
        let sum = summary.get_or_insert_with(|| {
            out.extend_from_slice(MAGIC);
            out.push(FORMAT);
            out.extend_from_slice(&page.revision.get().to_le_bytes());
            Summary { revision: page.revision, entries: 0 }
        });
        for entry in page.entries.iter().filter(|entry| entry.lease.is_none()) {
            encode(entry, &mut out);
            sum.entries += 1;
        }
        digest.update(&out);
        sink.write_all(&out).await?;
        request = range.following(&page);
    }
    let summary = summary.expect("there is always a first page");
    let mut end = vec![END];
    end.extend_from_slice(&summary.entries.to_le_bytes());
    digest.update(&end);
    end.extend_from_slice(&digest.finalize());
    sink.write_all(&end).await?;
    sink.flush().await?;
    Ok(summary)
}

fn encode(entry: &Entry, out: &mut Vec<u8>) {
    out.push(ENTRY);
    let key_len = u16::try_from(entry.key.len()).expect("keys are at most 1 KiB");
    out.extend_from_slice(&key_len.to_le_bytes());
    out.extend_from_slice(&entry.key);
    for number in [entry.created.get(), entry.modified.get(), entry.version] {
        out.extend_from_slice(&number.to_le_bytes());
    }
    let value_len = u32::try_from(entry.value.len()).expect("values are at most 512 KiB");
    out.extend_from_slice(&value_len.to_le_bytes());
    out.extend_from_slice(&entry.value);
}

/// A stream that is no whole snapshot.
#[derive(Debug, Error)]
pub enum ReadSnapshotError {
    /// It does not begin like one.
    #[error("this is no snapshot of a kogge store")]
    NotASnapshot,
    /// A newer program wrote it.
    #[error("the snapshot has format {found}, this program reads formats up to {FORMAT}")]
    NewerFormat {
        /// Its format.
        found: u8,
    },
    /// It ends early, or its bytes are not what was written.
    #[error("the snapshot is damaged: {detail}")]
    Damaged {
        /// What does not fit.
        detail: &'static str,
    },
    /// The source failed.
    #[error("cannot read the snapshot")]
    Source(#[source] io::Error),
}

/// Reads a snapshot entry by entry. Only after [`Reader::next_entry`] has answered `None` is it known to be whole.
#[derive(Debug)]
pub struct Reader<R> {
    source: R,
    digest: Sha256,
    revision: Revision,
    entries: u64,
    is_over: bool,
}

impl<R: Read> Reader<R> {
    /// Reads the beginning.
    ///
    /// # Errors
    /// When it is not the beginning of a snapshot this program can read.
    pub fn new(source: R) -> Result<Self, ReadSnapshotError> {
        let mut reader =
            Self { source, digest: Sha256::new(), revision: Revision::ZERO, entries: 0, is_over: false };
        let magic = reader.array::<11>().map_err(|error| match error {
            ReadSnapshotError::Damaged { .. } => ReadSnapshotError::NotASnapshot,
            error => error,
        })?;
        if magic != *MAGIC {
            return Err(ReadSnapshotError::NotASnapshot);
        }
        let [found] = reader.array()?;
        if found != FORMAT {
            return Err(ReadSnapshotError::NewerFormat { found });
        }
        reader.revision = Revision::new(reader.number()?);
        Ok(reader)
    }

    /// The revision of the store when it was taken.
    pub const fn revision(&self) -> Revision {
        self.revision
    }

    /// The next entry; `None` at the end, once it is verified.
    ///
    /// # Errors
    /// When the stream ends early or is not what was written.
    pub fn next_entry(&mut self) -> Result<Option<Entry>, ReadSnapshotError> {
        if self.is_over {
            return Ok(None);
        }
        match self.array()? {
            [ENTRY] => self.entry().map(Some),
            [END] => self.end().map(|()| None),
            _ => Err(ReadSnapshotError::Damaged { detail: "an entry begins wrongly" }),
        }
    }

    fn entry(&mut self) -> Result<Entry, ReadSnapshotError> {
        let key_len = usize::from(u16::from_le_bytes(self.array()?));
        let key = Key::from(self.bytes(key_len, MAX_KEY_BYTES)?);
        let (created, modified) = (Revision::new(self.number()?), Revision::new(self.number()?));
        let version = self.number()?;
        let value_len = usize::try_from(u32::from_le_bytes(self.array()?)).unwrap_or(usize::MAX);
        let value = Bytes::from(self.bytes(value_len, MAX_VALUE_BYTES)?);
        self.entries += 1;
        Ok(Entry { key, value, created, modified, version, lease: None })
    }

    fn end(&mut self) -> Result<(), ReadSnapshotError> {
        let entries = self.number()?;
        let expected = self.digest.clone().finalize();
        let mut found = [0u8; 32];
        self.fill(&mut found)?;
        if entries != self.entries {
            return Err(ReadSnapshotError::Damaged { detail: "entries are missing" });
        }
        if found[..] != expected[..] {
            return Err(ReadSnapshotError::Damaged { detail: "its checksum does not fit" });
        }
        self.is_over = true;
        Ok(())
    }

    fn bytes(&mut self, len: usize, most: usize) -> Result<Vec<u8>, ReadSnapshotError> {
        if len > most {
            return Err(ReadSnapshotError::Damaged { detail: "a length is beyond its bound" });
        }
        let mut bytes = vec![0; len];
        self.fill(&mut bytes)?;
        self.digest.update(&bytes);
        Ok(bytes)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], ReadSnapshotError> {
        let mut bytes = [0; N];
        self.fill(&mut bytes)?;
        self.digest.update(bytes);
        Ok(bytes)
    }

    fn number(&mut self) -> Result<u64, ReadSnapshotError> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), ReadSnapshotError> {
        self.source.read_exact(bytes).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => ReadSnapshotError::Damaged { detail: "it ends early" },
            _ => ReadSnapshotError::Source(error),
        })
    }
}
