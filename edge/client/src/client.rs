//! The client: one cloud, any number of requests.

use std::sync::Arc;

use http::{HeaderName, HeaderValue, header};
use kogge_model::token::OperatorToken;
use kogge_model::view::{DoorsView, RevisionView, StatusView};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::ClientError;
use crate::exchange::Exchange;
use crate::payload::Payload;
use crate::request::Request;
use crate::server::{InvalidApi, Server, Servers};

/// Talks to one cloud, to whichever of its servers answers. Cheap to clone; clones remember together which it was.
#[derive(Debug, Clone)]
pub struct Client {
    servers: Arc<Servers>,
}

impl Client {
    /// A client of the cloud at `apis`: the URL of a server, such as `http://127.0.0.1:7400`, or those of several,
    /// separated by commas. Nothing is sent yet.
    ///
    /// # Errors
    /// When one is no plain URL, or asks for a token (`https://`).
    pub fn new(apis: &str) -> Result<Self, InvalidApi> {
        Self::with_token(apis, None)
    }

    /// The same for an operator with a token, which is shown to servers of the cluster that gave it out, and only
    /// behind TLS.
    ///
    /// # Errors
    /// When one is no plain URL, or asks for a token and there is none.
    pub fn with_token(apis: &str, token: Option<OperatorToken>) -> Result<Self, InvalidApi> {
        Ok(Self { servers: Arc::new(Servers::parse(apis, token)?) })
    }

    /// The URL of the server that answered last, as it was given.
    #[must_use]
    pub fn api(&self) -> &str {
        &self.servers.good().api
    }

    /// The certificate of the cluster's authority, as PEM: with it, programs of other makes believe its servers.
    ///
    /// # Errors
    /// When no server can be reached by TLS.
    pub async fn authority(&self) -> Result<String, ClientError> {
        self.servers.authority().await
    }

    /// The cloud as a whole.
    ///
    /// # Errors
    /// As every request: see [`ClientError`].
    pub async fn status(&self) -> Result<StatusView, ClientError> {
        self.value(Request::get("/status")).await
    }

    /// Where the cloud can be talked to.
    ///
    /// # Errors
    /// As every request: see [`ClientError`].
    pub async fn doors(&self) -> Result<DoorsView, ClientError> {
        self.value(Request::get("/doors")).await
    }

    /// The newest revisions of the tree, the newest first.
    ///
    /// # Errors
    /// As every request: see [`ClientError`].
    pub async fn revisions(&self, limit: u32) -> Result<Vec<RevisionView>, ClientError> {
        self.value(Request::get("/revisions").query("limit", &limit.to_string())).await
    }

    /// Tells the cloud to end; with `keep_tasks` its tasks run on. It is over when its process is.
    ///
    /// # Errors
    /// As every request: see [`ClientError`].
    pub async fn down(&self, keep_tasks: bool) -> Result<StatusView, ClientError> {
        self.value(Request::post("/down").flag("keep_tasks", keep_tasks)).await
    }

    /// Sends a request without a body and reads a value.
    pub(crate) async fn value<T: DeserializeOwned>(&self, request: Request) -> Result<T, ClientError> {
        self.open(request, Payload::empty(), &[]).await?.value().await
    }

    /// Sends `body` as JSON and reads a value.
    pub(crate) async fn send<T: DeserializeOwned>(
        &self,
        request: Request,
        body: &impl Serialize,
    ) -> Result<T, ClientError> {
        self.open(request, Payload::json(body), &[]).await?.value().await
    }

    /// Sends a request to one server after the other, until one answers; whoever called reads the answer's body.
    ///
    /// The next one is asked only when this one has not got the request, has not done it, or only looked.
    pub(crate) async fn open(
        &self,
        request: Request,
        mut payload: Payload,
        headers: &[(HeaderName, HeaderValue)],
    ) -> Result<Exchange, ClientError> {
        let mut failures = Vec::new();
        for (at, server) in self.servers.in_order() {
            let stream = match self.servers.connect(server).await {
                Ok(stream) => stream,
                Err(failure) => {
                    failures.push(failure);
                    continue;
                }
            };
            let Some((media_type, body)) = payload.take() else { break };
            let mut head = self.head(server, &request);
            if let Some(media_type) = media_type {
                head = head.header(header::CONTENT_TYPE, media_type);
            }
            for (name, value) in headers {
                head = head.header(name, value);
            }
            let message = head.body(body).expect("the parts were checked");
            match Exchange::open(stream, &request, message).await {
                Err(failure) if failure.is_for_another_server(&request) && payload.is_repeatable() => {
                    failures.push(failure);
                }
                answered => {
                    self.servers.remember(at);
                    return answered;
                }
            }
        }
        Err(ClientError::of_all(failures))
    }

    fn head(&self, server: &Server, request: &Request) -> http::request::Builder {
        let head = http::Request::builder()
            .method(request.method.clone())
            .uri(format!("{}/api/v1{}", server.prefix, request.path))
            .header(header::HOST, server.authority.as_str())
            .header(header::USER_AGENT, concat!("kogge/", env!("CARGO_PKG_VERSION")));
        match self.servers.token(server) {
            Some(token) => head.header(header::AUTHORIZATION, format!("Bearer {}", token.reveal())),
            None => head,
        }
    }
}
