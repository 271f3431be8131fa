//! Connections: accepted, bounded, put behind TLS and HTTP/2, closed.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use http::Request;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use kogge_host::tasks::OnPanic;
use rustls_pki_types::CertificateDer;
use tokio::io::Interest;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, TryAcquireError};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tower::Service as _;

use super::caller::Caller;
use super::door::Door;
use super::ports::Leader;
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
    redirects: Arc<Semaphore>,
    strangers: Semaphore,
}

impl Reception {
    pub(super) fn new(shared: Arc<Shared>, tls: TlsAcceptor) -> Self {
        Self {
            connections: Arc::new(Semaphore::new(shared.config.max_connections)),
            handshakes: Semaphore::new(bounds::MAX_HANDSHAKES),
            redirects: Arc::new(Semaphore::new(bounds::MAX_REDIRECTS)),
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
            let Ok(redirect) = self.redirect() else {
                tracing::debug!(%from, "many agents come, and another server leads: one is sent on");
                continue;
            };
            let reception = Arc::clone(&self);
            self.shared.group.spawn("connection of an agent", OnPanic::Log, async move {
                reception.attend(stream, from, (place, redirect)).await;
            });
        }
    }

    /// The place of somebody who comes only to hear which other server leads; an error when there is none left. They had
    /// better go on at once: the leader needs the time of agents and machines more.
    fn redirect(&self) -> Result<Option<OwnedSemaphorePermit>, TryAcquireError> {
        match &*self.shared.ports.leader.borrow() {
            Leader::Elsewhere(_) => Arc::clone(&self.redirects).try_acquire_owned().map(Some),
            Leader::Here | Leader::Soon | Leader::Unknown => Ok(None),
        }
    }

    async fn attend(
        &self,
        stream: TcpStream,
        from: SocketAddr,
        (_place, redirect): (OwnedSemaphorePermit, Option<OwnedSemaphorePermit>),
    ) {
        let stream = match self.shake_hands(stream).await {
            Ok(stream) => stream,
            Err(error) => return tracing::debug!(%from, %error, "a TLS handshake failed"),
        };
        drop(redirect);
        let authority = self.shared.ports.signer.authority();
        // Who cannot know goes on without finding out whether large packets arrive.
        let segment_bytes = kogge_host::tcp::segment_bytes(stream.get_ref().0).unwrap_or(0);
        let caller = Caller::new((from, segment_bytes), shown(&stream), authority);
        if caller.is_agent() || caller.server(authority).is_ok() {
            self.serve(stream, caller, self.shared.config.max_message_bytes).await;
            return;
        }
        // Somebody without a certificate, or with a bad one: heard out when it is their turn, but shortly.
        let serving = async {
            let _turn = self.strangers.acquire().await.expect("nobody closes the semaphore");
            self.serve(stream, caller, bounds::MAX_STRANGER_BYTES).await;
        };
        if timeout(bounds::STRANGER_PATIENCE, serving).await.is_err() {
            tracing::debug!(%from, "a connection without a certificate lasted too long");
        }
    }

    /// When it is its turn, and within [`crate::Timing::handshake`] then. Boxed: each future it is handed through would
    /// have room for all of it.
    async fn shake_hands(&self, stream: TcpStream) -> io::Result<Box<TlsStream<TcpStream>>> {
        let patience = self.shared.config.timing.handshake;
        let late = |_| io::Error::from(io::ErrorKind::TimedOut);
        let turn = timeout(patience, self.handshakes.acquire()).await.map_err(late)?;
        let _turn = turn.expect("nobody closes the semaphore");
        if has_left(&stream) {
            return Err(io::Error::other("it did not wait for its turn"));
        }
        if let Err(error) = kogge_host::tcp::hurry(&stream) {
            tracing::debug!(%error, "a connection cannot be made quick");
        }
        timeout(patience, self.tls.accept(stream)).await.map_err(late)?.map(Box::new)
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
            .keep_alive_interval(timing.keepalive_idle)
            .keep_alive_timeout(timing.keepalive_patience)
            .max_concurrent_streams(bounds::MAX_STREAMS)
            .max_header_list_size(bounds::MAX_HEADER_BYTES)
            .initial_stream_window_size(bounds::STREAM_WINDOW_BYTES)
            .initial_connection_window_size(bounds::CONNECTION_WINDOW_BYTES)
            .max_send_buf_size(bounds::SEND_BUFFER_BYTES);
        http
    }
}

/// Whether the other side has closed the connection already: a storm of agents would be served in vain.
fn has_left(stream: &TcpStream) -> bool {
    let ready = stream.ready(Interest::READABLE).now_or_never();
    ready.is_some_and(|ready| ready.is_ok_and(|ready| ready.is_read_closed()))
}

fn shown(stream: &TlsStream<TcpStream>) -> Option<CertificateDer<'static>> {
    let (_, session) = stream.get_ref();
    session.peer_certificates()?.first().map(|certificate| certificate.clone().into_owned())
}
