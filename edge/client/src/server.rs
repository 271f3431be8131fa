//! The servers of one cloud, and how each is reached.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use http::Uri;
use http::uri::{Authority, Scheme};
use kogge_model::token::OperatorToken;
use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::error::ClientError;
use crate::trust;

/// How long a connection may take to stand, TLS included.
const CONNECT_DEADLINE: Duration = Duration::from_secs(5);
/// The same when there are other servers to try.
const NEXT_DEADLINE: Duration = Duration::from_secs(2);

const TLS_PORT: u16 = 443;
const PLAIN_PORT: u16 = 80;

/// One server's API.
#[derive(Debug, Clone)]
pub(crate) struct Server {
    /// As it was given, for people.
    pub(crate) api: String,
    /// Host and port to connect to, and for the `Host` header.
    pub(crate) authority: Authority,
    /// What stands before `/api/v1`, without a slash at its end.
    pub(crate) prefix: String,
    /// Whether it is behind TLS.
    pub(crate) is_tls: bool,
}

/// All servers, and which of them answered last.
pub(crate) struct Servers {
    all: Vec<Server>,
    good: AtomicUsize,
    access: Option<Access>,
}

/// What opens doors with TLS.
struct Access {
    token: OperatorToken,
    tls: Arc<ClientConfig>,
}

/// Why there is no client of a cloud.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum InvalidApi {
    /// A text that is not the API's URL.
    #[error(
        "{api:?} is not the URL of an API: expected http://HOST:PORT or https://HOST:PORT, several separated by commas"
    )]
    Url {
        /// The text that was refused.
        api: String,
    },
    /// A server that asks for a token.
    #[error("{api} asks for a token, and there is none")]
    NoToken {
        /// Its URL.
        api: String,
    },
}

impl InvalidApi {
    /// What to do.
    #[must_use]
    pub const fn hint(&self) -> &'static str {
        match self {
            Self::Url { .. } => "kogge doors --output json tells the URLs of a cloud's API",
            Self::NoToken { .. } => {
                "make one on a server with `kogge token create NAME`; write it to ~/.config/kogge/token, \
                 or name its file with --token-file, or put it into KOGGE_TOKEN"
            }
        }
    }
}

/// A stream that is ready for HTTP.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

impl Servers {
    /// From URLs, separated by commas.
    pub(crate) fn parse(apis: &str, token: Option<OperatorToken>) -> Result<Self, InvalidApi> {
        let all: Vec<Server> = apis.split(',').map(Server::parse).collect::<Result<_, _>>()?;
        let access = match (all.iter().find(|server| server.is_tls), token) {
            (None, _) => None,
            (Some(server), None) => return Err(InvalidApi::NoToken { api: server.api.clone() }),
            (Some(_), Some(token)) => Some(Access { tls: trust::pinned(token.authority()), token }),
        };
        Ok(Self { all, good: AtomicUsize::new(0), access })
    }

    /// In the order in which they are to be tried: the one that answered last, then the others as they were given.
    pub(crate) fn in_order(&self) -> impl Iterator<Item = (usize, &Server)> {
        let good = self.good.load(Ordering::Relaxed);
        let first = self.all.iter().enumerate().skip(good).take(1);
        first.chain(self.all.iter().enumerate().filter(move |(at, _)| *at != good))
    }

    /// This one answered.
    pub(crate) fn remember(&self, at: usize) {
        self.good.store(at, Ordering::Relaxed);
    }

    /// The one that answered last, or the first.
    pub(crate) fn good(&self) -> &Server {
        &self.all[self.good.load(Ordering::Relaxed)]
    }

    pub(crate) fn count(&self) -> usize {
        self.all.len()
    }

    /// What to show to `server`. Nothing goes out in clear.
    pub(crate) fn token(&self, server: &Server) -> Option<&OperatorToken> {
        self.access.as_ref().filter(|_| server.is_tls).map(|access| &access.token)
    }

    /// Connects.
    pub(crate) async fn connect(&self, server: &Server) -> Result<Box<dyn Stream>, ClientError> {
        let deadline = if self.count() > 1 { NEXT_DEADLINE } else { CONNECT_DEADLINE };
        let failed = |source| ClientError::Connect { api: server.api.clone(), source };
        let late = |_| failed(io::ErrorKind::TimedOut.into());
        let socket = tokio::time::timeout(deadline, server.dial()).await.map_err(late)?.map_err(failed)?;
        let Some(access) = self.access.as_ref().filter(|_| server.is_tls) else {
            return Ok(Box::new(socket));
        };
        let shaken = access.shake_hands(server, socket);
        let shaken = tokio::time::timeout(CONNECT_DEADLINE, shaken).await.map_err(late)?;
        let stream = shaken.map_err(|error| ClientError::untrusted(server.api.clone(), error))?;
        Ok(Box::new(stream))
    }

    /// The authority of the first server that shows it, as PEM. It is the one that the token names.
    pub(crate) async fn authority(&self) -> Result<String, ClientError> {
        let mut failed = None;
        for (at, server) in self.in_order() {
            let Some(access) = self.access.as_ref().filter(|_| server.is_tls) else { continue };
            let connect = |source| ClientError::Connect { api: server.api.clone(), source };
            let shown = async {
                let late = |_| connect(io::ErrorKind::TimedOut.into());
                let socket = tokio::time::timeout(CONNECT_DEADLINE, server.dial()).await.map_err(late)?;
                let shaken = access.shake_hands(server, socket.map_err(connect)?);
                let shaken = tokio::time::timeout(CONNECT_DEADLINE, shaken).await.map_err(late)?;
                let stream = shaken.map_err(|error| ClientError::untrusted(server.api.clone(), error))?;
                let chain = stream.get_ref().1.peer_certificates().unwrap_or_default();
                let pem = trust::authority_pem(chain, access.token.authority());
                pem.ok_or_else(|| connect(io::Error::other("it does not show its authority")))
            };
            match shown.await {
                Ok(pem) => {
                    self.remember(at);
                    return Ok(pem);
                }
                Err(error) => failed = Some(error),
            }
        }
        Err(failed.unwrap_or_else(|| ClientError::NoAuthority { api: self.good().api.clone() }))
    }
}

/// Says which servers, never the token.
impl std::fmt::Debug for Servers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.all.iter().map(|server| &server.api)).finish()
    }
}

impl Server {
    fn parse(api: &str) -> Result<Self, InvalidApi> {
        let api = api.trim();
        let refused = || InvalidApi::Url { api: api.to_owned() };
        let uri: Uri = api.parse().map_err(|_| refused())?;
        let authority = uri.authority().cloned().ok_or_else(refused)?;
        let has_user = authority.as_str().contains('@');
        let is_tls = uri.scheme() == Some(&Scheme::HTTPS);
        if (!is_tls && uri.scheme() != Some(&Scheme::HTTP)) || uri.query().is_some() || has_user {
            return Err(refused());
        }
        let prefix = uri.path().trim_end_matches('/').to_owned();
        Ok(Self { api: api.to_owned(), authority, prefix, is_tls })
    }

    fn host(&self) -> &str {
        self.authority.host().trim_start_matches('[').trim_end_matches(']')
    }

    async fn dial(&self) -> io::Result<TcpStream> {
        let port = self.authority.port_u16().unwrap_or(if self.is_tls { TLS_PORT } else { PLAIN_PORT });
        let socket = TcpStream::connect((self.host(), port)).await?;
        // Small frames of an exec session must not wait for each other.
        socket.set_nodelay(true)?;
        Ok(socket)
    }
}

impl Access {
    async fn shake_hands(
        &self,
        server: &Server,
        socket: TcpStream,
    ) -> io::Result<tokio_rustls::client::TlsStream<TcpStream>> {
        let name = ServerName::try_from(server.host().to_owned()).map_err(io::Error::other)?;
        TlsConnector::from(Arc::clone(&self.tls)).connect(name, socket).await
    }
}

#[cfg(test)]
mod tests {
    use kogge_model::digest::Digest;
    use kogge_model::token::MINT_BYTES;

    use super::*;

    #[test]
    fn only_plain_urls_are_taken() {
        for good in [
            "http://127.0.0.1:7400",
            "http://localhost:1/",
            "http://[::1]:7400",
            "http://h/kogge",
            "http://a, http://b",
        ] {
            assert!(Servers::parse(good, None).is_ok(), "{good}");
        }
        for bad in ["", "127.0.0.1:7400", "http://u@h", "http://h/?q", "ftp://h", "http://", "http://a,,"] {
            assert!(matches!(Servers::parse(bad, None), Err(InvalidApi::Url { .. })), "{bad}");
        }
    }

    #[test]
    fn tls_takes_a_token_which_is_not_sent_in_clear() {
        let none = Servers::parse("http://a,https://b", None);
        assert_eq!(none.err(), Some(InvalidApi::NoToken { api: "https://b".into() }));
        let token = OperatorToken::mint(&[7; MINT_BYTES], Digest::of(b"authority"));
        let servers = Servers::parse("http://a,https://b", Some(token)).unwrap();
        let shown: Vec<bool> = servers.all.iter().map(|server| servers.token(server).is_some()).collect();
        assert_eq!(shown, [false, true]);
    }

    #[test]
    fn the_good_one_comes_first_and_the_others_in_their_order() {
        let servers = Servers::parse("http://a,http://b,http://c", None).unwrap();
        let order = || servers.in_order().map(|(at, _)| at).collect::<Vec<_>>();
        assert_eq!(order(), [0, 1, 2]);
        servers.remember(1);
        assert_eq!(order(), [1, 0, 2]);
        assert_eq!(servers.good().api, "http://b");
    }
}
