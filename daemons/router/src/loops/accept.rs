//! Takes connections from one listener.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use hyper_util::server::conn::auto;
use kogge_host::tasks::OnPanic;
use tokio::net::{TcpListener, TcpStream};

use crate::client_connection::{ClientConnection, Scheme};
use crate::loops::serve::{self, Streams};
use crate::refusal::Refusals;
use crate::router::Inner;

/// After an error that the next try would meet too, such as no file descriptors.
const PAUSE: Duration = Duration::from_millis(50);

/// Accepts until the router ends; then takes those still in the queue, who believe to be connected.
pub(crate) async fn run(router: Arc<Inner>, listener: TcpListener, scheme: Scheme) {
    let acceptor = Acceptor { http: serve::builder(&router), refusals: Refusals::default(), router, scheme };
    let token = acceptor.router.loops.token();
    loop {
        tokio::select! {
            biased;
            () = token.cancelled() => break,
            accepted = listener.accept() => match accepted {
                Ok((stream, peer)) => acceptor.take(stream, peer),
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(PAUSE).await;
                }
            },
        }
    }
    while let Some((stream, peer)) = poll_fn(|cx| match listener.poll_accept(cx) {
        Poll::Ready(Ok(accepted)) => Poll::Ready(Some(accepted)),
        Poll::Ready(Err(_)) | Poll::Pending => Poll::Ready(None),
    })
    .await
    {
        acceptor.take(stream, peer);
    }
}

struct Acceptor {
    router: Arc<Inner>,
    scheme: Scheme,
    http: auto::Builder<Streams>,
    refusals: Refusals,
}

impl Acceptor {
    fn take(&self, stream: TcpStream, peer: SocketAddr) {
        let router = &self.router;
        // Both fail only for a connection that is already broken.
        let (Ok(()), Ok(local)) = (stream.set_nodelay(true), stream.local_addr()) else { return };
        let Some(number) = router.connections.reserve(router.config.max_connections) else {
            self.refusals.refuse(router, stream);
            return;
        };
        let connection =
            Arc::new(ClientConnection::new(Arc::clone(router), number, peer, local, self.scheme));
        router.connections.add(&connection);
        let serve = serve::run(self.http.clone(), stream, connection);
        drop(router.clients.spawn("client", OnPanic::Log, serve));
    }
}
