//! Blobs from the server's image store, each on a connection of its own, so that orders never wait behind one.

use bytes::Bytes;
use futures_util::stream::{self, BoxStream, StreamExt as _};
use kogge_model::digest::Digest;
use kogge_model::reason::Reason;
use tonic::{Status, Streaming};

use super::DialerHandle;
use super::connection::Client;
use crate::address::ServerAddress;
use crate::bounds::FETCH_STALL;
use crate::wire::{BlobPart, FetchRequest, blob_part};

/// A blob on its way. Nobody has checked it against its digest yet.
pub struct RemoteBlob {
    /// Its whole size.
    pub size_bytes: u64,
    /// What follows the offset; an error is the last.
    pub pieces: BoxStream<'static, Result<Bytes, Reason>>,
}

impl DialerHandle {
    /// Fetches a blob from the server this agent is connected to, from `offset` on. What was cut off can be gone on
    /// with from where it stopped.
    ///
    /// # Errors
    /// When no server is connected, or it does not have the blob.
    pub async fn fetch(&self, digest: Digest, offset: u64) -> Result<RemoteBlob, Reason> {
        let is_connected = self.state().borrow().server().is_some();
        let at = self.shared.at.load_full().filter(|_| is_connected);
        let server = at.ok_or_else(|| Reason::new("not connected to any server"))?;
        let client = self.shared.connect(&server).await.map_err(|error| error.reason())?.client;
        open(client, &server, digest, offset).await
    }
}

/// Opens a blob on a connection of its own.
pub(crate) async fn open(
    mut client: Client,
    server: &ServerAddress,
    digest: Digest,
    offset: u64,
) -> Result<RemoteBlob, Reason> {
    let request = FetchRequest { digest: digest.to_string(), offset };
    // Its turn may take a while to come.
    let answer = tokio::time::timeout(FETCH_STALL, client.fetch(request)).await;
    let answer = answer.map_err(|_| Reason::new(format!("server {server} is too busy to send {digest}")))?;
    let failed = |status: Status| Reason::new(format!("server {server}: {}", status.message()));
    let mut parts = answer.map_err(failed)?.into_inner();
    let first = parts.message().await.map_err(failed)?;
    let Some(blob_part::Part::SizeBytes(size_bytes)) = first.and_then(|first| first.part) else {
        return Err(Reason::new(format!("server {server} sends {digest} in a way that cannot be read")));
    };
    let left = size_bytes.saturating_sub(offset);
    Ok(RemoteBlob { size_bytes, pieces: stream::unfold(Some((parts, left)), next).boxed() })
}

type Reading = Option<(Streaming<BlobPart>, u64)>;

/// The next piece; an end before the blob's end is an error.
async fn next(reading: Reading) -> Option<(Result<Bytes, Reason>, Reading)> {
    let (mut parts, left) = reading?;
    let failed = |text: String| Some((Err(Reason::new(text)), None));
    match tokio::time::timeout(FETCH_STALL, parts.message()).await {
        Err(_) => failed("the server has stopped sending".to_owned()),
        Ok(Err(status)) => failed(format!("the blob was cut off: {}", status.message())),
        Ok(Ok(None)) if left == 0 => None,
        Ok(Ok(None)) => failed(format!("the blob was cut off, {left} bytes are missing")),
        Ok(Ok(Some(BlobPart { part: Some(blob_part::Part::Data(piece)) }))) => {
            match left.checked_sub(u64::try_from(piece.len()).unwrap_or(u64::MAX)) {
                Some(left) => Some((Ok(piece), Some((parts, left)))),
                None => failed("the server sends more than the blob has".to_owned()),
            }
        }
        Ok(Ok(Some(_))) => failed("the server sends what cannot be read".to_owned()),
    }
}
