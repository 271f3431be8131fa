//! One connection to one member: TCP, TLS if asked for, HTTP/2.
//!
//! It never connects again by itself. So whoever sends on it knows whether a request may have reached the member, and
//! that is the difference between "nothing happened" and "the outcome is unknown".

use std::error::Error;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use http::uri::Scheme;
use hyper::body::Incoming;
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use kogge_host::tasks::{OnPanic, TaskGroup};
use rustls::pki_types::ServerName;
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_util::task::AbortOnDropHandle;
use tonic::body::Body;

use super::config::Endpoint;

/// Bytes that a call may have on their way to us before we read them.
const STREAM_WINDOW_BYTES: u32 = 4 << 20;
const CONNECTION_WINDOW_BYTES: u32 = 16 << 20;
/// etcd hangs up on clients that ask more often than every 5 s (`--grpc-keepalive-min-time`).
const PING_INTERVAL: Duration = Duration::from_secs(10);
const PING_TIMEOUT: Duration = Duration::from_secs(5);
/// After which sent bytes that nobody acknowledges end the connection.
const SEND_TIMEOUT_MS: u32 = 5_000;

/// Who ends a connection sooner may not like who called.
const GREETING: Duration = Duration::from_secs(5);

/// A connection that could not be made. The text names the cause, as it is shown beside the member.
#[derive(Debug, Error)]
pub(super) enum DialError {
    #[error("cannot connect: {0}")]
    Connect(#[source] std::io::Error),
    #[error("{host:?} is no name for TLS")]
    Name { host: String },
    #[error("TLS failed: {0}")]
    Tls(#[source] std::io::Error),
    #[error("it does not speak HTTP/2, or wants TLS: {0}")]
    Http(#[source] hyper::Error),
}

/// A request that got no answer from the member.
#[derive(Debug, Error)]
pub(super) enum Cut {
    #[error("the connection was closed{}{} before the request was sent{guess}", if why.is_empty() { "" } else { ": " }, why)]
    NeverSent { why: String, guess: &'static str },
    #[error("the connection was lost: {}{guess}", error_chain(source))]
    Lost {
        source: hyper::Error,
        /// What people should look at, if anything.
        guess: &'static str,
    },
}

/// A connection. Clones share it; it is closed when the last one is gone.
#[derive(Clone)]
pub(super) struct Connection {
    sender: SendRequest<Body>,
    /// Why it ended, once it has.
    fate: Arc<OnceLock<String>>,
    origin: http::Uri,
    endpoint: Arc<Endpoint>,
    /// It is encrypted, and we have not said who we are.
    is_anonymous: bool,
    since: Instant,
    /// Told apart from others to the same member.
    number: u64,
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Connection({})", self.endpoint)
    }
}

impl Connection {
    /// Connects; `number` tells connections apart. Without a deadline of its own.
    ///
    /// As a task of `tasks`: a connection belongs to the runtime it is made in, whoever asks for it first.
    pub(super) async fn dial(
        endpoint: &Endpoint,
        tls: Option<&TlsConnector>,
        tasks: &TaskGroup,
        number: u64,
    ) -> Result<Self, DialError> {
        let (endpoint, tls, group) = (endpoint.clone(), tls.cloned(), tasks.clone());
        let dialing = async move { Self::dial_here(&endpoint, tls.as_ref(), &group, number).await };
        let dialed = AbortOnDropHandle::new(tasks.spawn("dialing etcd", OnPanic::Log, dialing)).await;
        let ended = || DialError::Connect(std::io::Error::other("the engine is being closed"));
        dialed.ok().flatten().unwrap_or_else(|| Err(ended()))
    }

    async fn dial_here(
        endpoint: &Endpoint,
        tls: Option<&TlsConnector>,
        tasks: &TaskGroup,
        number: u64,
    ) -> Result<Self, DialError> {
        let tcp =
            TcpStream::connect((endpoint.host.as_str(), endpoint.port)).await.map_err(DialError::Connect)?;
        tcp.set_nodelay(true).map_err(DialError::Connect)?;
        // A member is reached over links that lose packets, too; where the kernel knows no better, it is only slower.
        let _ = kogge_host::tcp::hurry(&tcp);
        rustix::net::sockopt::set_tcp_user_timeout(&tcp, SEND_TIMEOUT_MS)
            .map_err(|error| DialError::Connect(error.into()))?;
        let fate = Arc::default();
        let sender = match tls {
            None => handshake(tcp, tasks, endpoint, &fate).await,
            Some(tls) => {
                let name = ServerName::try_from(endpoint.host.clone())
                    .map_err(|_| DialError::Name { host: endpoint.host.clone() })?;
                let stream = tls.connect(name, tcp).await.map_err(DialError::Tls)?;
                handshake(stream, tasks, endpoint, &fate).await
            }
        };
        let scheme = if tls.is_some() { Scheme::HTTPS } else { Scheme::HTTP };
        let origin =
            http::Uri::builder().scheme(scheme).authority(endpoint.to_string()).path_and_query("/").build();
        Ok(Self {
            sender: sender.map_err(DialError::Http)?,
            fate,
            origin: origin.expect("endpoints are hosts and ports"),
            endpoint: Arc::new(endpoint.clone()),
            is_anonymous: tls.is_some_and(|tls| !tls.config().client_auth_cert_resolver.has_certs()),
            since: Instant::now(),
            number,
        })
    }

    /// The member's address.
    pub(super) fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// What requests on it are addressed to.
    pub(super) fn origin(&self) -> http::Uri {
        self.origin.clone()
    }

    /// Whether everybody on the way can read it.
    pub(super) fn is_plain(&self) -> bool {
        self.origin.scheme() == Some(&Scheme::HTTP)
    }

    /// Whether nothing can be sent on it any more.
    pub(super) fn is_closed(&self) -> bool {
        self.sender.is_closed()
    }

    /// Why it may have ended so soon. In TLS 1.3 a server refuses us after our handshake, and closes: whether its alert is
    /// read before our next word meets the closed door is a matter of luck.
    fn guess(&self) -> &'static str {
        if self.is_anonymous && self.since.elapsed() < GREETING {
            "; it may ask for a certificate, and none of ours is configured"
        } else {
            ""
        }
    }

    /// Whether the two are one.
    pub(super) const fn is(&self, other: &Self) -> bool {
        self.number == other.number
    }
}

async fn handshake<S>(
    stream: S,
    tasks: &TaskGroup,
    endpoint: &Endpoint,
    fate: &Arc<OnceLock<String>>,
) -> hyper::Result<SendRequest<Body>>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let (sender, connection) = http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .keep_alive_interval(PING_INTERVAL)
        .keep_alive_timeout(PING_TIMEOUT)
        .handshake(TokioIo::new(stream))
        .await?;
    let (token, fate) = (tasks.token(), Arc::clone(fate));
    tasks.spawn(format!("connection to etcd at {endpoint}"), OnPanic::Log, async move {
        let mut connection = std::pin::pin!(connection);
        tokio::select! {
            result = &mut connection => if let Err(error) = result {
                // Before the connection is dropped: who then finds it closed finds the reason, too.
                let _ = fate.set(error_chain(&error));
            },
            () = token.cancelled() => {}
        }
    });
    Ok(sender)
}

/// hyper's own texts name no causes.
fn error_chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

impl tower::Service<http::Request<Body>> for Connection {
    type Response = http::Response<Incoming>;
    type Error = Cut;
    type Future = BoxFuture<'static, Result<Self::Response, Cut>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Cut>> {
        // Looked at in `call`: an error here would lose its kind on the way.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let (mut sender, fate, guess) = (self.sender.clone(), Arc::clone(&self.fate), self.guess());
        let never_sent = move || Cut::NeverSent { why: fate.get().cloned().unwrap_or_default(), guess };
        async move {
            sender.ready().await.map_err(|_| never_sent())?;
            sender.try_send_request(request).await.map_err(|mut failed| match failed.take_message() {
                Some(_) => never_sent(),
                None => Cut::Lost { source: failed.into_error(), guess },
            })
        }
        .boxed()
    }
}
