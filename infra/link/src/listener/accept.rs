//! Connections: accepted, bounded, put behind TLS and HTTP/2, closed.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use http::Request;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use kogge_host::tasks::OnPanic;
use rustls_pki_types::CertificateDer;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tower::Service as _;

use super::caller::Caller;
use super::door::Door;
use super::shared::Shared;
use crate::bounds;
use crate::executor::Supervised;
use crate::wire::link_server::LinkServer;

/// After the operating system refused a connection, most likely for lack of file descriptors.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);

/// Opens connections and counts them.
pub(super) struct Reception {
    shared: Arc<Shared>,
    tls: TlsAcceptor,
    connections: Arc<Semaphore>,
    handshakes: Semaphore,
    strangers: Semaphore,
}

impl Reception {
    pub(super) fn new(shared: Arc<Shared>, tls: TlsAcceptor) -> Self {
        Self {
            connections: Arc::new(Semaphore::new(shared.config.max_connections)),
            handshakes: Semaphore::new(bounds::MAX_HANDSHAKES),
            strangers: Semaphore::new(bounds::MAX_STRANGERS),
            shared,
            tls,
        }
    }

    /// Accepts until the group ends.
    pub(super) async fn run(self: Arc<Self>, listener: TcpListener) {
        let token = self.shared.group.token();
        loop {
            let accepted = tokio::select! {
                () = token.cancelled() => return,
                accepted = listener.accept() => accepted,
            };
            let (stream, from) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::warn!(%error, "cannot accept connections of agents");
                    tokio::time::sleep(ACCEPT_RETRY).await;
                    continue;
                }
            };
            // Closed at once: an agent comes back with jitter, and to another server.
            let Ok(place) = Arc::clone(&self.connections).try_acquire_owned() else {
                tracing::warn!(%from, "too many connections of agents, one is closed");
                continue;
            };
            let reception = Arc::clone(&self);
            self.shared.group.spawn("connection of an agent", OnPanic::Log, async move {
                reception.attend(stream, from, place).await;
            });
        }
    }

    async fn attend(&self, stream: TcpStream, from: SocketAddr, _place: OwnedSemaphorePermit) {
        let shaken = tokio::time::timeout(self.shared.config.timing.handshake, self.shake_hands(stream));
        let stream = match shaken.await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => return tracing::debug!(%from, %error, "a TLS handshake failed"),
            Err(_) => return tracing::debug!(%from, "a TLS handshake took too long"),
        };
        let authority = self.shared.ports.signer.authority();
        let caller = Caller::new(from, shown(&stream), authority);
        if caller.is_agent() || caller.server(authority).is_ok() {
            self.serve(stream, caller, self.shared.config.max_message_bytes).await;
            return;
        }
        // Somebody without a certificate, or with a bad one: heard out when it is their turn, but shortly.
        let serving = async {
            let _turn = self.strangers.acquire().await.expect("nobody closes the semaphore");
            self.serve(stream, caller, bounds::MAX_STRANGER_BYTES).await;
        };
        if tokio::time::timeout(bounds::STRANGER_PATIENCE, serving).await.is_err() {
            tracing::debug!(%from, "a connection without a certificate lasted too long");
        }
    }

    /// Boxed: each future it is handed through would have room for all of it.
    async fn shake_hands(&self, stream: TcpStream) -> std::io::Result<Box<TlsStream<TcpStream>>> {
        // Whoever has waited for long would give up before the end: a storm of agents would be served in vain.
        let turn = tokio::time::timeout(self.shared.config.timing.handshake / 2, self.handshakes.acquire());
        let Ok(turn) = turn.await else { return Err(std::io::Error::other("too many others shake hands")) };
        let _turn = turn.expect("nobody closes the semaphore");
        if let Err(error) = crate::socket::hurry(&stream) {
            tracing::debug!(%error, "a connection cannot be made quick");
        }
        self.tls.accept(stream).await.map(Box::new)
    }

    /// Answers calls until the connection or the group ends.
    async fn serve(&self, stream: Box<TlsStream<TcpStream>>, caller: Caller, max_bytes: usize) {
        let from = caller.from;
        let door = Door::new(Arc::clone(&self.shared));
        let link = LinkServer::new(door).max_decoding_message_size(max_bytes);
        let service = service_fn(move |mut request: Request<Incoming>| {
            request.extensions_mut().insert(caller.clone());
            let mut link = link.clone();
            async move { Ok::<_, Infallible>(link.call(request).await.unwrap_or_else(|never| match never {})) }
        });
        let connection = self.http().serve_connection(TokioIo::new(stream), service);
        let mut connection = pin!(connection);
        let ended = tokio::select! {
            ended = connection.as_mut() => ended,
            () = self.shared.group.cancelled() => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = ended {
            tracing::debug!(%from, %error, "a connection of an agent broke");
        }
    }

    fn http(&self) -> hyper::server::conn::http2::Builder<Supervised> {
        let timing = &self.shared.config.timing;
        let mut http = hyper::server::conn::http2::Builder::new(Supervised(self.shared.group.clone()));
        http.timer(TokioTimer::new())
            .keep_alive_interval(timing.keepalive)
            .keep_alive_timeout(timing.keepalive_timeout)
            .max_concurrent_streams(bounds::MAX_STREAMS)
            .max_header_list_size(bounds::MAX_HEADER_BYTES)
            .initial_stream_window_size(bounds::STREAM_WINDOW_BYTES)
            .initial_connection_window_size(bounds::CONNECTION_WINDOW_BYTES)
            .max_send_buf_size(bounds::SEND_BUFFER_BYTES);
        http
    }
}

fn shown(stream: &TlsStream<TcpStream>) -> Option<CertificateDer<'static>> {
    let (_, session) = stream.get_ref();
    session.peer_certificates()?.first().map(|certificate| certificate.clone().into_owned())
}
