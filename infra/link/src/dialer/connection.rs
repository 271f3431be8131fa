//! One connection to one server: TCP, TLS, HTTP/2. When it breaks it is gone; the dialer makes another.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_util::future::BoxFuture;
use http::{Request, Response, Uri};
use hyper::body::Incoming;
use hyper::client::conn::http2::{Builder, SendRequest};
use hyper_util::rt::{TokioIo, TokioTimer};
use kogge_host::tasks::{OnPanic, TaskGroup};
use kogge_model::reason::Reason;
use rustls_pki_types::ServerName;
use thiserror::Error;
use tokio::net::{TcpStream, lookup_host};
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tonic::body::Body;

use super::watched::Watched;
use crate::address::ServerAddress;
use crate::bounds;
use crate::executor::Supervised;
use crate::identity::{Identity, Untrusted};
use crate::timing::Timing;
use crate::tls::{Trust, client_config, untrusted};
use crate::wire::link_client::LinkClient;

/// Addresses of one name that are tried.
const MAX_ADDRESSES: usize = 4;

/// Why a server cannot be reached.
#[derive(Debug, Error)]
pub enum DialError {
    /// Its name means nothing.
    #[error("cannot find server {server}")]
    Resolve {
        /// Which.
        server: ServerAddress,
        /// What the resolver said.
        source: io::Error,
    },
    /// Nobody listens there, or nothing gets through.
    #[error("cannot reach server {server}")]
    Connect {
        /// Which.
        server: ServerAddress,
        /// What the system said.
        source: io::Error,
    },
    /// Whoever listens there is not a server of ours.
    #[error("server {server} is not believed")]
    Untrusted {
        /// Which.
        server: ServerAddress,
        /// Why.
        source: Untrusted,
    },
    /// Somebody listens there who speaks something else.
    #[error("cannot talk to server {server}")]
    Handshake {
        /// Which.
        server: ServerAddress,
        /// What went wrong.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl DialError {
    /// Whether the server took the connection and did not get round to it.
    pub(crate) fn is_busy(&self) -> bool {
        let Self::Handshake { source, .. } = self else { return false };
        let kind = source.downcast_ref::<io::Error>().map(io::Error::kind);
        let unheard = [io::ErrorKind::TimedOut, io::ErrorKind::UnexpectedEof, io::ErrorKind::ConnectionReset];
        kind.is_some_and(|kind| unheard.contains(&kind))
    }

    /// The whole chain as one sentence, with what to do about it.
    #[must_use]
    pub fn reason(&self) -> Reason {
        let mut text = self.to_string();
        let mut cause = std::error::Error::source(self);
        while let Some(error) = cause {
            text = format!("{text}: {error}");
            cause = error.source();
        }
        let reason = Reason::new(text);
        match self {
            Self::Untrusted { source, .. } => match source.hint() {
                Some(hint) => reason.with_hint(hint),
                None => reason,
            },
            Self::Resolve { .. } => reason.with_hint("check the server's name"),
            Self::Connect { .. } => reason.with_hint(
                "check that `kogge server` runs there and that its door for agents can be reached",
            ),
            Self::Handshake { .. } => {
                reason.with_hint("check that this is the door for agents, usually port 7401")
            }
        }
    }
}

/// What calls go through.
#[derive(Debug, Clone)]
pub(crate) struct Connection {
    sender: SendRequest<Body>,
}

/// The calls.
pub(crate) type Client = LinkClient<Connection>;

/// A connection with the one address that its server's name meant this time.
#[derive(Debug, Clone)]
pub(crate) struct Reached {
    pub(crate) client: Client,
    /// For more connections to the same process.
    pub(crate) at: ServerAddress,
    sender: SendRequest<Body>,
    is_still: watch::Receiver<bool>,
}

impl Reached {
    /// Waits until what is said does not arrive at the other machine.
    pub(crate) async fn stands_still(&self) {
        if self.is_still.clone().wait_for(|is_still| *is_still).await.is_err() {
            // It is broken, and whoever uses it is told by that.
            std::future::pending().await
        }
    }

    /// Whether it stands, as far as is known here.
    pub(crate) fn is_open(&self) -> bool {
        !self.sender.is_closed()
    }
}

/// Connects to `server`.
pub(crate) async fn connect(
    server: &ServerAddress,
    trust: Trust,
    identity: Option<&Identity>,
    timing: &Timing,
    group: &TaskGroup,
) -> Result<Reached, DialError> {
    let strange = |error: Box<dyn std::error::Error + Send + Sync>| DialError::Handshake {
        server: server.clone(),
        source: error,
    };
    let config = client_config(trust, identity).map_err(|error| strange(error.into()))?;
    let (stream, at) = reach(server, timing).await?;
    let name = ServerName::try_from("kogge").expect("a constant name");
    let (stream, is_still) = Watched::new(stream);
    let shaken = timeout(timing.handshake, TlsConnector::from(Arc::new(config)).connect(name, stream)).await;
    let slow = || io::Error::new(io::ErrorKind::TimedOut, "the TLS handshake takes too long");
    let stream = shaken.unwrap_or_else(|_| Err(slow())).map_err(|error| match untrusted(&error) {
        Some(why) => DialError::Untrusted { server: server.clone(), source: why },
        None => strange(error.into()),
    })?;
    let (sender, connection) =
        http(timing, group).handshake(TokioIo::new(stream)).await.map_err(|error| strange(error.into()))?;
    let token = group.token();
    group.spawn(format!("connection to server {server}"), OnPanic::Log, async move {
        tokio::select! {
            () = token.cancelled() => {}
            ended = connection => if let Err(error) = ended {
                tracing::debug!(%error, "a connection to a server broke");
            },
        }
    });
    let origin = Uri::from_static("https://kogge");
    let client = LinkClient::with_origin(Connection { sender: sender.clone() }, origin);
    let client = client.max_decoding_message_size(bounds::MAX_MESSAGE_BYTES);
    Ok(Reached { client, at: at.into(), sender, is_still })
}

async fn reach(server: &ServerAddress, timing: &Timing) -> Result<(TcpStream, SocketAddr), DialError> {
    let slow = || io::Error::from(io::ErrorKind::TimedOut);
    let looked_up = timeout(timing.connect, lookup_host((server.host(), server.port()))).await;
    let addresses: Vec<SocketAddr> = looked_up
        .unwrap_or_else(|_| Err(slow()))
        .map_err(|source| DialError::Resolve { server: server.clone(), source })?
        .take(MAX_ADDRESSES)
        .collect();
    let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
    for address in addresses {
        match timeout(timing.connect, TcpStream::connect(address)).await.unwrap_or_else(|_| Err(slow())) {
            Ok(stream) => {
                // A delay at most, if it cannot be set.
                let _ = kogge_host::tcp::hurry(&stream);
                return Ok((stream, address));
            }
            Err(error) => last = error,
        }
    }
    Err(DialError::Connect { server: server.clone(), source: last })
}

fn http(timing: &Timing, group: &TaskGroup) -> Builder<Supervised> {
    let mut http = Builder::new(Supervised(group.clone()));
    http.timer(TokioTimer::new())
        .keep_alive_interval(timing.keepalive)
        .keep_alive_timeout(timing.keepalive_timeout)
        // On one without a session, only the server asks, and seldom.
        .keep_alive_while_idle(false)
        .max_header_list_size(bounds::MAX_HEADER_BYTES)
        .initial_stream_window_size(bounds::STREAM_WINDOW_BYTES)
        .initial_connection_window_size(bounds::CONNECTION_WINDOW_BYTES)
        .max_send_buf_size(bounds::SEND_BUFFER_BYTES);
    http
}

impl tower::Service<Request<Body>> for Connection {
    type Response = Response<Incoming>;
    type Error = hyper::Error;
    type Future = BoxFuture<'static, Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.sender.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        Box::pin(self.sender.send_request(request))
    }
}

/// A channel as the agent's half of a call; it ends when all senders are gone.
pub(crate) fn flow<T: Send + 'static>(
    receiver: tokio::sync::mpsc::Receiver<T>,
) -> impl futures_util::Stream<Item = T> + Send + 'static {
    futures_util::stream::unfold(
        receiver,
        |mut receiver| async move { Some((receiver.recv().await?, receiver)) },
    )
}
