//! Blobs that come in pieces over a network, into the store.

use std::io;

use bytes::Bytes;
use futures_util::{Stream, StreamExt as _};
use tokio::sync::mpsc;

use super::super::blob::BlobStore;
use super::super::error::ImageError;
use super::super::limits::Limits;
use super::super::manifest::Descriptor;
use super::super::progress::FetchProgress;
use crate::workers::Workers;

/// Pieces between the network and the disk; when they are full, the network waits.
const PIECES: usize = 16;

/// Where blobs go to.
#[derive(Clone, Copy)]
pub(crate) struct Intake<'a> {
    pub(crate) blobs: &'a BlobStore,
    pub(crate) limits: &'a Limits,
    pub(crate) writers: &'a Workers,
    pub(crate) progress: &'a FetchProgress,
}

impl Intake<'_> {
    /// What of `parts` is not here is what is to come.
    pub(crate) fn expect(&self, parts: &[Descriptor]) {
        let missing = parts.iter().filter(|part| self.blobs.size(&part.digest).is_none());
        self.progress.begin(missing.map(|part| part.size).sum());
    }

    /// Whether the blob is here already, or must not come.
    pub(crate) fn is_here(&self, part: &Descriptor) -> Result<bool, ImageError> {
        if self.blobs.size(&part.digest).is_some() {
            return Ok(true);
        }
        if part.size > self.limits.blob_bytes {
            let limit = self.limits.blob_bytes;
            return Err(ImageError::TooLarge { what: format!("blob {}", part.digest), limit, unit: "bytes" });
        }
        Ok(false)
    }

    /// Keeps the blob if its pieces are what its digest promises.
    pub(crate) async fn take(
        &self,
        part: &Descriptor,
        mut pieces: impl Stream<Item = io::Result<Bytes>> + Unpin,
    ) -> Result<(), ImageError> {
        let (chunks, mut incoming) = mpsc::channel::<Bytes>(PIECES);
        let (blobs, digest, size) = (self.blobs.clone(), part.digest, part.size);
        let writing = self.writers.run(move || {
            let mut writer = blobs.write(size)?;
            while let Some(chunk) = incoming.blocking_recv() {
                writer.append(&chunk)?;
            }
            // A stream that broke off shows here as a wrong digest, and nothing is kept.
            blobs.keep(writer, Some(&digest)).map(drop)
        });
        let reading = async move {
            while let Some(piece) = pieces.next().await {
                let piece = piece.map_err(ImageError::read(&format!("blob {digest}")))?;
                self.progress.add(piece.len());
                if chunks.send(piece).await.is_err() {
                    // The writer has given up; its error is the one to tell.
                    break;
                }
            }
            Ok(())
        };
        let (written, read) = tokio::join!(writing, reading);
        // A broken stream also fails the digest: tell the cause, not the consequence.
        read.and(written)
    }
}
