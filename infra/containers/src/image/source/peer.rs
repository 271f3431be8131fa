//! Fetching an image from another machine's image store.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::stream::{self, BoxStream};
use futures_util::{StreamExt as _, TryStreamExt as _};
use kogge_model::digest::Digest;

use super::super::blob::check;
use super::super::error::ImageError;
use super::super::lease::Lease;
use super::super::manifest::{Descriptor, Document, MAX_DOCUMENT_BYTES};
use super::intake::Intake;

/// Layers fetched at the same time.
const PARALLEL_LAYERS: usize = 3;
/// Tries in a row that brought nothing, before a blob is given up.
const TRIES: u32 = 6;
/// After the first try that brought nothing; doubled after each further one.
const PAUSE: Duration = Duration::from_millis(200);

/// An image store on another machine. It need not be believed: whatever it gives is checked.
pub trait Peer: Send + Sync {
    /// Opens a blob at `offset` bytes from its beginning.
    fn open(&self, digest: Digest, offset: u64) -> BoxFuture<'_, io::Result<PeerBlob>>;
}

/// A blob on its way.
pub struct PeerBlob {
    /// Its whole size.
    pub size_bytes: u64,
    /// What follows the offset; an error is the last.
    pub pieces: BoxStream<'static, io::Result<Bytes>>,
}

/// One fetch.
pub(crate) struct Fetch<'a> {
    pub(crate) peer: &'a Arc<dyn Peer>,
    pub(crate) intake: Intake<'a>,
}

impl Fetch<'_> {
    /// The manifest's bytes, after its config and layers have been taken in, held by `lease`.
    pub(crate) async fn run(&self, manifest: Digest, lease: &mut Lease) -> Result<Vec<u8>, ImageError> {
        let bytes = self.document(manifest).await?;
        let Document::Manifest(document) = Document::parse(&bytes, "the manifest")? else {
            return Err(ImageError::malformed("the manifest", "it is an index"));
        };
        let parts: Vec<Descriptor> = std::iter::once(document.config).chain(document.layers).collect();
        for part in &parts {
            lease.add(part.digest);
        }
        self.intake.expect(&parts);
        let fetches = stream::iter(parts).map(|part| self.blob(part));
        fetches.buffer_unordered(PARALLEL_LAYERS).try_collect::<Vec<()>>().await?;
        Ok(bytes)
    }

    async fn document(&self, digest: Digest) -> Result<Vec<u8>, ImageError> {
        let mut pieces = Box::pin(resumed(Arc::clone(self.peer), digest));
        let mut bytes = Vec::new();
        while let Some(piece) = pieces.next().await {
            bytes.extend_from_slice(&piece.map_err(ImageError::read("the manifest"))?);
            if bytes.len() as u64 > MAX_DOCUMENT_BYTES {
                let what = "the manifest".to_owned();
                return Err(ImageError::TooLarge { what, limit: MAX_DOCUMENT_BYTES, unit: "bytes" });
            }
        }
        check("the manifest", Some(&digest), &Digest::of(&bytes))?;
        Ok(bytes)
    }

    async fn blob(&self, part: Descriptor) -> Result<(), ImageError> {
        if self.intake.is_here(&part)? {
            return Ok(());
        }
        let pieces = Box::pin(resumed(Arc::clone(self.peer), part.digest));
        self.intake.take(&part, pieces).await
    }
}

/// How far a blob has come.
struct Progress {
    peer: Arc<dyn Peer>,
    digest: Digest,
    offset: u64,
    /// Tries in a row that brought nothing.
    failures: u32,
    open: Option<PeerBlob>,
}

/// A blob's pieces; where it is cut off, it goes on from there.
fn resumed(peer: Arc<dyn Peer>, digest: Digest) -> impl futures_util::Stream<Item = io::Result<Bytes>> {
    let begin = Progress { peer, digest, offset: 0, failures: 0, open: None };
    stream::unfold(Some(begin), |progress| async {
        let mut progress = progress?;
        match progress.next().await {
            Ok(Some(piece)) => Some((Ok(piece), Some(progress))),
            Ok(None) => None,
            Err(error) => Some((Err(error), None)),
        }
    })
}

impl Progress {
    async fn next(&mut self) -> io::Result<Option<Bytes>> {
        loop {
            match self.piece().await {
                Ok(Some(piece)) => {
                    self.offset += piece.len() as u64;
                    self.failures = 0;
                    return Ok(Some(piece));
                }
                Ok(None) => return Ok(None),
                Err(error) => {
                    self.open = None;
                    self.failures += 1;
                    if self.failures == TRIES {
                        return Err(error);
                    }
                    tokio::time::sleep(PAUSE * 2_u32.pow(self.failures - 1)).await;
                }
            }
        }
    }

    async fn piece(&mut self) -> io::Result<Option<Bytes>> {
        let open = match &mut self.open {
            Some(open) => open,
            none => none.insert(self.peer.open(self.digest, self.offset).await?),
        };
        match open.pieces.next().await {
            Some(piece) => piece.map(Some),
            None if self.offset < open.size_bytes => Err(io::ErrorKind::UnexpectedEof.into()),
            None => Ok(None),
        }
    }
}
