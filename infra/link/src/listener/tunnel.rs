//! Byte streams between servers: what one server is asked and another has to answer.

use bytes::Bytes;
use kogge_host::tasks::OnPanic;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};
use tokio::sync::mpsc;
use tonic::{Status, Streaming};

use super::ListenerHandle;
use crate::address::ServerAddress;
use crate::bounds::{CHUNK_BYTES, MAX_PIECES};
use crate::dialer::{DialError, connect, flow};
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
        let identity = shared.identity.load_full();
        let trust = Trust::Cluster(identity.authority().clone());
        let timing = &shared.config.timing;
        let mut client = connect(server, trust, Some(&identity), timing, &shared.group).await?.client;
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
