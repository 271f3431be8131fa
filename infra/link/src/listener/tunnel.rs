//! What servers want of each other: byte streams, for what one is asked and another has to answer, and blobs.

use bytes::Bytes;
use kogge_host::tasks::OnPanic;
use kogge_model::digest::Digest;
use kogge_model::reason::Reason;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};
use tokio::sync::mpsc;
use tonic::{Status, Streaming};

use super::ListenerHandle;
use crate::address::ServerAddress;
use crate::bounds::{CHUNK_BYTES, MAX_PIECES};
use crate::dialer::{Client, DialError, RemoteBlob, connect, flow, open_blob};
use crate::tls::Trust;
use crate::wire::Piece;

impl ListenerHandle {
    /// A byte stream into the server at `server`, which takes it for what it is: one of another server of the
    /// cluster. It breaks when either end does.
    ///
    /// # Errors
    /// When that server cannot be reached or believed.
    pub async fn tunnel(&self, server: &ServerAddress) -> Result<DuplexStream, DialError> {
        let shared = &self.shared;
        let timing = &shared.config.timing;
        let mut client = self.connect(server).await?;
        let (ours, theirs) = tokio::io::duplex(CHUNK_BYTES);
        let (up, pieces) = mpsc::channel(MAX_PIECES);
        let failed = |status: Status| DialError::Handshake { server: server.clone(), source: status.into() };
        let slow = || Status::deadline_exceeded("it does not answer");
        let opened = tokio::time::timeout(timing.answer, client.tunnel(flow(pieces))).await;
        let down = opened.unwrap_or_else(|_| Err(slow())).map_err(failed)?.into_inner();
        let token = shared.group.token();
        shared.group.spawn("tunnel to a server", OnPanic::Log, async move {
            tokio::select! {
                () = token.cancelled() => {}
                () = carry(theirs, down, up, |piece| piece) => {}
            }
        });
        Ok(ours)
    }

    /// A blob of the server at `server`, from `offset` on. Nobody has checked it against its digest yet.
    ///
    /// # Errors
    /// When that server cannot be reached or believed, or does not have it.
    pub async fn fetch(
        &self,
        server: &ServerAddress,
        digest: Digest,
        offset: u64,
    ) -> Result<RemoteBlob, Reason> {
        let client = self.connect(server).await.map_err(|error| error.reason())?;
        open_blob(client, server, digest, offset).await
    }

    async fn connect(&self, server: &ServerAddress) -> Result<Client, DialError> {
        let shared = &self.shared;
        let identity = shared.identity.load_full();
        let trust = Trust::Cluster(identity.authority().clone());
        Ok(connect(server, trust, Some(&identity), &shared.config.timing, &shared.group).await?.client)
    }
}

/// Carries bytes both ways until both ends have nothing more to say. An end of writing is passed on as one.
pub(super) async fn carry<T>(
    stream: DuplexStream,
    mut inbound: Streaming<Piece>,
    out: mpsc::Sender<T>,
    wrap: impl Fn(Piece) -> T,
) {
    let (mut reader, mut writer) = tokio::io::split(stream);
    let outward = async move {
        let mut buffer = vec![0; CHUNK_BYTES];
        while let Ok(count @ 1..) = reader.read(&mut buffer).await {
            let piece = Piece { data: Bytes::copy_from_slice(&buffer[..count]) };
            if out.send(wrap(piece)).await.is_err() {
                return;
            }
        }
    };
    let inward = async move {
        while let Ok(Some(piece)) = inbound.message().await {
            if writer.write_all(&piece.data).await.is_err() {
                return;
            }
        }
        // Whoever reads sees the end, and may still have an answer on its way out.
        let _ = writer.shutdown().await;
    };
    tokio::join!(outward, inward);
}
