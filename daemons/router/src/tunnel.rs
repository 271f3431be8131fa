//! A connection that left HTTP (WebSocket and the like): bytes both ways until both sides are done.

use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use kogge_host::tasks::OnPanic;
use tokio::io::AsyncWriteExt;

use crate::backend::Lease;
use crate::client_connection::Turn;
use crate::upstream::connection::UpstreamConnection;

/// Starts the task that carries the bytes. It counts as a request in flight and as a client connection.
pub(crate) fn begin(upgrade: OnUpgrade, upstream: UpstreamConnection, lease: Lease, turn: Turn) {
    let group = turn.connection().router.clients.clone();
    turn.become_tunnel();
    // A tunnel ends with its connections; when the router must end first, the group's deadline aborts it.
    drop(group.spawn("tunnel", OnPanic::Log, async move {
        match upgrade.await {
            Ok(upgraded) => carry(TokioIo::new(upgraded), upstream).await,
            Err(error) => tracing::debug!(%error, "client left before its upgrade"),
        }
        drop((lease, turn));
    }));
}

async fn carry(mut client: TokioIo<hyper::upgrade::Upgraded>, upstream: UpstreamConnection) {
    let (mut backend, ahead) = upstream.into_parts();
    let carried = async {
        client.write_all(&ahead).await?;
        tokio::io::copy_bidirectional(&mut client, &mut backend).await
    };
    if let Err(error) = carried.await {
        tracing::debug!(%error, "tunnel broke");
    }
}
