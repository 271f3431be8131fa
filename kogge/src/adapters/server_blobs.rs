//! The image store of this server, for agents that fetch layers over the link.

use std::io::{self, Read as _};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::stream::{self, BoxStream, StreamExt as _};
use kogge_containers::Workers;
use kogge_containers::image::{BlobReader, ImageStore};
use kogge_link::{Blob, Blobs};
use kogge_model::digest::Digest;
use kogge_model::reason::Reason;

/// Bytes read at once.
const PIECE_BYTES: usize = 256 * 1024;

/// Blobs that are checked while they are read: a damaged one ends in an error, from whatever offset (G20).
pub(crate) struct StoredBlobs {
    pub(crate) images: ImageStore,
    pub(crate) workers: Workers,
}

impl Blobs for StoredBlobs {
    fn open(&self, digest: Digest, offset: u64) -> BoxFuture<'_, Result<Blob, Reason>> {
        Box::pin(async move {
            let images = self.images.clone();
            let opening = self.workers.run(move || {
                let missing = || Reason::new(format!("{digest} is not in the image store"));
                let size_bytes = images.blobs().size(&digest).ok_or_else(missing)?;
                let mut reader = images.blobs().read(&digest).map_err(|_| missing())?;
                // What comes before counts for the digest.
                io::copy(&mut reader.by_ref().take(offset), &mut io::sink())
                    .map_err(|error| Reason::new(format!("cannot read {digest}: {error}")))?;
                Ok::<_, Reason>((reader, size_bytes))
            });
            let (reader, size_bytes) = opening.await?;
            Ok(Blob { size_bytes, pieces: pieces(reader, self.workers.clone()) })
        })
    }
}

fn pieces(reader: BlobReader, workers: Workers) -> BoxStream<'static, io::Result<Bytes>> {
    stream::unfold(Some(reader), move |reader| {
        let workers = workers.clone();
        async move {
            let mut reader = reader?;
            let reading = workers.run(move || {
                let mut piece = vec![0; PIECE_BYTES];
                let count = reader.read(&mut piece)?;
                piece.truncate(count);
                Ok::<_, io::Error>((Bytes::from(piece), reader))
            });
            match reading.await {
                Ok((piece, _)) if piece.is_empty() => None,
                Ok((piece, reader)) => Some((Ok(piece), Some(reader))),
                Err(error) => Some((Err(error), None)),
            }
        }
    })
    .boxed()
}

#[cfg(test)]
mod tests {
    use kogge_containers::image::Limits;

    use super::*;

    #[tokio::test]
    async fn g20_a_blob_is_read_from_any_offset_and_a_damaged_one_ends_in_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let images = ImageStore::open(dir.path(), Limits::default(), Workers::new(1)).unwrap();
        let content: Vec<u8> = (0..600_000u32).map(|at| at.to_le_bytes()[0]).collect();
        let digest = images.blobs().put(&content).unwrap();
        let path = images.blobs().path(&digest);
        let blobs = StoredBlobs { images, workers: Workers::new(1) };
        for offset in [0, 300_001, 600_000] {
            let blob = blobs.open(digest, offset).await.ok().unwrap();
            assert_eq!(blob.size_bytes, 600_000);
            let read: Vec<Bytes> = blob.pieces.map(Result::unwrap).collect().await;
            assert!(read.concat() == content[usize::try_from(offset).unwrap()..], "{offset}");
        }
        let missing = Digest::of(b"other");
        let reason = blobs.open(missing, 0).await.err().unwrap();
        assert_eq!(reason.text, format!("{missing} is not in the image store"));

        let mut damaged = content;
        damaged[5] ^= 1;
        std::fs::write(path, damaged).unwrap();
        let blob = blobs.open(digest, 300_001).await.ok().unwrap();
        let read: Vec<io::Result<Bytes>> = blob.pieces.collect().await;
        assert!(read.last().unwrap().is_err());
    }
}
