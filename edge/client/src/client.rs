//! The client: one cloud, any number of requests.

use std::sync::Arc;

use bytes::Bytes;
use http::uri::{Authority, Scheme};
use http::{Uri, header};
use http_body_util::Full;
use kogge_model::view::{DoorsView, RevisionView, StatusView};
use serde::Serialize;
use serde::de::DeserializeOwned;
use thiserror::Error;

use crate::error::ClientError;
use crate::exchange::{Exchange, RequestBody};
use crate::request::Request;

/// Talks to one cloud. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Client {
    endpoint: Arc<Endpoint>,
}

/// Where the API is.
#[derive(Debug)]
pub(crate) struct Endpoint {
    /// As it was given, for people.
    pub(crate) api: String,
    /// Host and port to connect to, and for the `Host` header.
    pub(crate) authority: Authority,
    /// What stands before `/api/v1`, without a slash at its end.
    pub(crate) prefix: String,
}

/// Why a text is not the API's URL.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{api:?} is not the URL of an API: expected http://HOST:PORT")]
pub struct InvalidApi {
    /// The text that was refused.
    pub api: String,
}

impl Client {
    /// A client of the cloud at `api`, such as `http://127.0.0.1:7400`. Nothing is sent yet.
    ///
    /// # Errors
    /// When `api` is not a plain HTTP URL.
    pub fn new(api: &str) -> Result<Self, InvalidApi> {
        let refused = || InvalidApi { api: api.to_owned() };
        let uri: Uri = api.parse().map_err(|_| refused())?;
        let authority = uri.authority().cloned().ok_or_else(refused)?;
        let has_user = authority.as_str().contains('@');
        if uri.scheme() != Some(&Scheme::HTTP) || uri.query().is_some() || has_user {
            return Err(refused());
        }
        let prefix = uri.path().trim_end_matches('/').to_owned();
        Ok(Self { endpoint: Arc::new(Endpoint { api: api.to_owned(), authority, prefix }) })
    }

    /// The API's URL, as it was given.
    #[must_use]
    pub fn api(&self) -> &str {
        &self.endpoint.api
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
        self.open(request, empty(), None).await?.value().await
    }

    /// Sends `body` as JSON and reads a value.
    pub(crate) async fn send<T: DeserializeOwned>(
        &self,
        request: Request,
        body: &impl Serialize,
    ) -> Result<T, ClientError> {
        self.open_json(request, body).await?.value().await
    }

    /// Sends `body` as JSON; whoever called reads the answer's body.
    pub(crate) async fn open_json(
        &self,
        request: Request,
        body: &impl Serialize,
    ) -> Result<Exchange, ClientError> {
        let json = serde_json::to_vec(body).expect("requests are plain data with text keys");
        self.open(request, full(json), Some("application/json")).await
    }

    /// Sends a request; whoever called reads the answer's body.
    pub(crate) async fn open(
        &self,
        request: Request,
        body: RequestBody,
        media_type: Option<&'static str>,
    ) -> Result<Exchange, ClientError> {
        let head = self.head(&request, media_type);
        Exchange::open(&self.endpoint, &request, head.body(body).expect("the parts were checked")).await
    }

    pub(crate) fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    pub(crate) fn head(&self, request: &Request, media_type: Option<&'static str>) -> http::request::Builder {
        let endpoint = &self.endpoint;
        let path = format!("{}/api/v1{}", endpoint.prefix, request.path);
        let mut head = http::Request::builder()
            .method(request.method.clone())
            .uri(path)
            .header(header::HOST, endpoint.authority.as_str())
            .header(header::USER_AGENT, concat!("kogge/", env!("CARGO_PKG_VERSION")));
        if let Some(media_type) = media_type {
            head = head.header(header::CONTENT_TYPE, media_type);
        }
        head
    }
}

pub(crate) fn empty() -> RequestBody {
    full(Vec::new())
}

pub(crate) fn full(bytes: Vec<u8>) -> RequestBody {
    use http_body_util::BodyExt as _;
    Full::new(Bytes::from(bytes)).map_err(|never| match never {}).boxed_unsync()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_urls_are_taken() {
        for good in ["http://127.0.0.1:7400", "http://localhost:1/", "http://[::1]:7400", "http://h/kogge"] {
            assert!(Client::new(good).is_ok(), "{good}");
        }
        for bad in ["", "127.0.0.1:7400", "https://h", "http://u@h", "http://h/?q", "ftp://h", "http://"] {
            assert!(Client::new(bad).is_err(), "{bad}");
        }
    }
}
