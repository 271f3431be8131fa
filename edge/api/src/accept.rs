//! Connections of the door with TLS: accepted, counted, served, closed.
//!
//! Nobody here is known before a token was shown. Until then a connection lives shortly, and an address has few of
//! them, so that strangers cannot keep operators out.

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::middleware::from_fn_with_state;
use http::Request;
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use kogge_control::Handle;
use kogge_host::tasks::{OnPanic, TaskGroup};
use rustls::ServerConfig;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tower::Service as _;

use crate::places::Places;
use crate::tokens::{self, Connection, Gate};

/// How long a TLS handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// How long a connection may last without a good token.
const STRANGER_PATIENCE: Duration = Duration::from_secs(20);
/// How long the head of a request may take.
const HEAD: Duration = Duration::from_secs(30);
/// Silent HTTP/2 connections are asked whether they live.
const KEEPALIVE: Duration = Duration::from_secs(20);
const MAX_STREAMS: u32 = 128;
const MAX_HEADER_BYTES: u32 = 16 << 10;
/// Unread bytes of one HTTP/1.1 connection, of an HTTP/2 stream, of an HTTP/2 connection: what a stranger can have us
/// keep in memory.
const MAX_HTTP1_BYTES: usize = 64 << 10;
const STREAM_WINDOW_BYTES: u32 = 256 << 10;
const CONNECTION_WINDOW_BYTES: u32 = 512 << 10;
/// After the operating system refused a connection, most likely for lack of file descriptors.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);

/// A door that speaks TLS and asks for tokens.
pub struct TlsDoor {
    /// Where it is.
    pub listener: TcpListener,
    /// Its certificate. It offers HTTP/2 and HTTP/1.1 by ALPN.
    pub tls: Arc<ServerConfig>,
    /// What is behind it.
    pub routes: Router,
    /// Who tells tokens.
    pub handle: Handle,
}

/// Serves until `group` ends; requests under way are finished.
pub async fn serve_tls(door: TlsDoor, group: TaskGroup) {
    let TlsDoor { listener, tls, routes, handle } = door;
    let reception = Arc::new(Reception {
        tls: TlsAcceptor::from(tls),
        routes: routes.layer(from_fn_with_state(Arc::new(Gate::new(handle)), tokens::check)),
        places: Arc::default(),
        group: group.clone(),
    });
    let token = group.token();
    loop {
        let accepted = tokio::select! {
            () = token.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        let (stream, from) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "cannot accept connections of operators");
                tokio::time::sleep(ACCEPT_RETRY).await;
                continue;
            }
        };
        let Some(place) = Places::take(&reception.places, from.ip()) else {
            tracing::debug!(%from, "too many connections of operators, one is closed");
            continue;
        };
        let reception = Arc::clone(&reception);
        group.spawn("connection of an operator", OnPanic::Log, async move {
            reception.attend(stream, from).await;
            drop(place);
        });
    }
}

struct Reception {
    tls: TlsAcceptor,
    routes: Router,
    places: Arc<Places>,
    group: TaskGroup,
}

impl Reception {
    async fn attend(&self, stream: TcpStream, from: SocketAddr) {
        // Frames of an exec session must not wait for each other.
        let _ = stream.set_nodelay(true);
        let stream = match tokio::time::timeout(HANDSHAKE, self.tls.accept(stream)).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => return tracing::debug!(%from, %error, "a TLS handshake failed"),
            Err(_) => return tracing::debug!(%from, "a TLS handshake took too long"),
        };
        let is_known = Arc::new(AtomicBool::new(false));
        let connection = Connection { from, is_known: Arc::clone(&is_known) };
        let is_http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
        let serving = async {
            if is_http2 {
                self.serve_http2(stream, connection).await
            } else {
                self.serve_http1(stream, connection).await
            }
        };
        let mut serving = pin!(serving);
        let ended = tokio::select! {
            ended = &mut serving => ended,
            () = tokio::time::sleep(STRANGER_PATIENCE) => {
                if !is_known.load(Ordering::Relaxed) {
                    return tracing::debug!(%from, "a connection without a token lasted too long");
                }
                serving.await
            }
        };
        if let Err(error) = ended {
            tracing::debug!(%from, %error, "a connection of an operator broke");
        }
    }

    async fn serve_http1(&self, stream: TlsStream<TcpStream>, connection: Connection) -> hyper::Result<()> {
        let service = service_fn(move |request| answer(self.routes.clone(), connection.clone(), request));
        let mut http = http1::Builder::new();
        http.timer(TokioTimer::new()).header_read_timeout(HEAD).max_buf_size(MAX_HTTP1_BYTES);
        let mut serving = pin!(http.serve_connection(TokioIo::new(stream), service).with_upgrades());
        tokio::select! {
            ended = &mut serving => ended,
            () = self.group.cancelled() => {
                serving.as_mut().graceful_shutdown();
                serving.await
            }
        }
    }

    async fn serve_http2(&self, stream: TlsStream<TcpStream>, connection: Connection) -> hyper::Result<()> {
        let routes = self.routes.clone();
        let service = service_fn(move |request| answer(routes.clone(), connection.clone(), request));
        let mut http = http2::Builder::new(Supervised(self.group.clone()));
        http.timer(TokioTimer::new())
            .keep_alive_interval(KEEPALIVE)
            .keep_alive_timeout(KEEPALIVE)
            .max_concurrent_streams(MAX_STREAMS)
            .max_header_list_size(MAX_HEADER_BYTES)
            .initial_stream_window_size(STREAM_WINDOW_BYTES)
            .initial_connection_window_size(CONNECTION_WINDOW_BYTES);
        let mut serving = pin!(http.serve_connection(TokioIo::new(stream), service));
        tokio::select! {
            ended = &mut serving => ended,
            () = self.group.cancelled() => {
                serving.as_mut().graceful_shutdown();
                serving.await
            }
        }
    }
}

async fn answer(
    mut routes: Router,
    connection: Connection,
    request: Request<Incoming>,
) -> Result<axum::response::Response, Infallible> {
    let mut request = request.map(Body::new);
    request.extensions_mut().insert(connection);
    routes.call(request).await
}

/// What HTTP/2 starts, as tasks of a group.
#[derive(Clone)]
struct Supervised(TaskGroup);

impl<F> hyper::rt::Executor<F> for Supervised
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    fn execute(&self, future: F) {
        self.0.spawn("request of an operator", OnPanic::Log, future);
    }
}
