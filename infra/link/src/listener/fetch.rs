//! Blobs of the image store on their way to agents.

use bytes::Bytes;
use futures_util::stream::{self, BoxStream, StreamExt as _};
use kogge_model::digest::Digest;
use std::sync::Arc;
use tokio::sync::OwnedSemaphorePermit;
use tonic::Status;

use super::ports::Blob;
use super::shared::Shared;
use crate::bounds::{CHUNK_BYTES, FETCH_STALL};
use crate::wire::{BlobPart, FetchRequest, blob_part};

/// Sends a blob as fast as the agent takes it, when its turn comes.
pub(super) async fn open(
    shared: &Shared,
    request: FetchRequest,
) -> Result<BoxStream<'static, Result<BlobPart, Status>>, Status> {
    let digest: Digest =
        request.digest.parse().map_err(|error| Status::invalid_argument(format!("{error}")))?;
    // Fair: whoever came first is served first. An agent that has gone away leaves the line.
    let turn = Arc::clone(&shared.fetches).acquire_owned().await.expect("nobody closes the semaphore");
    let opened = tokio::time::timeout(FETCH_STALL, shared.ports.blobs.open(digest, request.offset)).await;
    let blob = opened.map_err(|_| Status::unavailable(format!("reading {digest} takes too long")))?;
    let blob = blob.map_err(|reason| Status::not_found(reason.text))?;
    if request.offset > blob.size_bytes {
        let text = format!("{digest} has {} bytes, none from {} on", blob.size_bytes, request.offset);
        return Err(Status::out_of_range(text));
    }
    let size = BlobPart { part: Some(blob_part::Part::SizeBytes(blob.size_bytes)) };
    let sending = Sending { blob, rest: Bytes::new(), digest, _turn: turn };
    Ok(stream::once(async { Ok(size) }).chain(stream::unfold(Some(sending), next)).boxed())
}

struct Sending {
    blob: Blob,
    rest: Bytes,
    digest: Digest,
    _turn: OwnedSemaphorePermit,
}

/// The next piece, none after the last or a failure.
async fn next(sending: Option<Sending>) -> Option<(Result<BlobPart, Status>, Option<Sending>)> {
    let mut sending = sending?;
    while sending.rest.is_empty() {
        let read = tokio::time::timeout(FETCH_STALL, sending.blob.pieces.next()).await;
        match read {
            Ok(None) => return None,
            Ok(Some(Ok(piece))) => sending.rest = piece,
            Ok(Some(Err(error))) => {
                let text = format!("cannot read {}: {error}", sending.digest);
                return Some((Err(Status::data_loss(text)), None));
            }
            Err(_) => {
                let text = format!("reading {} takes too long", sending.digest);
                return Some((Err(Status::unavailable(text)), None));
            }
        }
    }
    let length = sending.rest.len().min(CHUNK_BYTES);
    let part = BlobPart { part: Some(blob_part::Part::Data(sending.rest.split_to(length))) };
    Some((Ok(part), Some(sending)))
}
