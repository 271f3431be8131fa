//! The servers' image store, as an agent fetches from it over the link.

use std::io;
use std::sync::OnceLock;

use futures_util::StreamExt as _;
use futures_util::future::BoxFuture;
use kogge_containers::image::{Peer, PeerBlob};
use kogge_link::DialerHandle;
use kogge_model::digest::Digest;

/// The servers this agent is linked to; the link is started before the agent.
#[derive(Default)]
pub(crate) struct ServerImages(OnceLock<DialerHandle>);

impl ServerImages {
    /// The link is there.
    pub(crate) fn bind(&self, link: DialerHandle) {
        // It is bound once, at the start.
        let _ = self.0.set(link);
    }
}

impl Peer for ServerImages {
    fn open(&self, digest: Digest, offset: u64) -> BoxFuture<'_, io::Result<PeerBlob>> {
        Box::pin(async move {
            let failed = |text: String| io::Error::other(text);
            let link = self.0.get().ok_or_else(|| failed("the link is not up yet".to_owned()))?;
            let blob = link.fetch(digest, offset).await.map_err(|reason| failed(reason.text))?;
            let pieces = blob.pieces.map(|piece| piece.map_err(|reason| io::Error::other(reason.text)));
            Ok(PeerBlob { size_bytes: blob.size_bytes, pieces: pieces.boxed() })
        })
    }
}
