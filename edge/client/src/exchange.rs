//! One request and its answer over one connection of their own.
//!
//! The connection is driven by whoever waits for the answer, so nothing runs on when the answer is dropped.

use std::future::{Future, poll_fn};
use std::io;
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use http::{Request as HttpRequest, Response, StatusCode, header};
use http_body::Body as _;
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use kogge_model::view::Problem;
use serde::de::DeserializeOwned;

use crate::error::ClientError;
use crate::payload::RequestBody;
use crate::request::Request;
use crate::server::Stream;

type Connection = Pin<Box<dyn Future<Output = Result<(), hyper::Error>> + Send>>;

/// The longest value that is read whole.
const MAX_VALUE_BYTES: usize = 64 << 20;

/// An answer whose head has come.
pub(crate) struct Exchange {
    connection: Option<Connection>,
    response: Response<Incoming>,
    request: String,
    deadline: Duration,
}

impl Exchange {
    /// Sends over a connection of its own, and waits for the head of a good answer.
    pub(crate) async fn open(
        stream: Box<dyn Stream>,
        request: &Request,
        message: HttpRequest<RequestBody>,
    ) -> Result<Self, ClientError> {
        let name = request.name();
        let broken = |source| broken(name.clone(), source);
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(broken)?;
        let connection: Connection = Box::pin(connection.with_upgrades());
        let mut connection = Some(connection);
        let answer = drive(&mut connection, sender.send_request(message));
        let response = within(request.deadline, &name, answer).await?.map_err(broken)?;
        let exchange = Self { connection, response, request: name, deadline: request.deadline };
        let status = exchange.response.status();
        if status.is_success() || status == StatusCode::SWITCHING_PROTOCOLS {
            Ok(exchange)
        } else {
            Err(exchange.refusal().await)
        }
    }

    /// Method and path, for errors.
    pub(crate) fn name(&self) -> &str {
        &self.request
    }

    /// The next bytes of the answer's body; none at its end.
    pub(crate) async fn chunk(&mut self) -> Result<Option<Bytes>, ClientError> {
        let body = self.response.body_mut();
        loop {
            let frame = poll_fn(|cx| Pin::new(&mut *body).poll_frame(cx));
            match drive(&mut self.connection, frame).await {
                None => return Ok(None),
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        return Ok(Some(data));
                    }
                }
                Some(Err(source)) => return Err(broken(self.request.clone(), source)),
            }
        }
    }

    /// The whole answer as a value.
    pub(crate) async fn value<T: DeserializeOwned>(mut self) -> Result<T, ClientError> {
        let (deadline, name) = (self.deadline, self.request.clone());
        let body = within(deadline, &name, self.whole()).await??;
        serde_json::from_slice(&body).map_err(|source| ClientError::Malformed { request: name, source })
    }

    /// The connection itself, once the API has changed the protocol to `protocol`.
    pub(crate) async fn upgraded(mut self, protocol: &str) -> Result<hyper::upgrade::Upgraded, ClientError> {
        let offered = self.response.headers().get(header::UPGRADE);
        if self.response.status() != StatusCode::SWITCHING_PROTOCOLS
            || offered.is_none_or(|offered| offered.as_bytes() != protocol.as_bytes())
        {
            return Err(self.foreign(&[]));
        }
        let upgrade = hyper::upgrade::on(&mut self.response);
        let upgraded = within(self.deadline, &self.request, drive(&mut self.connection, upgrade)).await?;
        upgraded.map_err(|source| broken(self.request, source))
    }

    async fn whole(&mut self) -> Result<Vec<u8>, ClientError> {
        let mut bytes = Vec::new();
        while let Some(chunk) = self.chunk().await? {
            bytes.extend_from_slice(&chunk);
            if bytes.len() > MAX_VALUE_BYTES {
                return Err(ClientError::TooLong { request: self.request.clone(), bytes: MAX_VALUE_BYTES });
            }
        }
        Ok(bytes)
    }

    /// What a bad answer says.
    async fn refusal(mut self) -> ClientError {
        let (deadline, name) = (self.deadline, self.request.clone());
        let body = match within(deadline, &name, self.whole()).await {
            Ok(Ok(body)) => body,
            Ok(Err(error)) | Err(error) => return error,
        };
        let media_type = self.response.headers().get(header::CONTENT_TYPE);
        let is_problem =
            media_type.is_some_and(|value| value.as_bytes().starts_with(b"application/problem+json"));
        match serde_json::from_slice::<Problem>(&body) {
            Ok(mut problem) if is_problem => {
                problem.status = self.response.status().as_u16();
                ClientError::Refused(Box::new(problem))
            }
            _ => self.foreign(&body),
        }
    }

    fn foreign(&self, body: &[u8]) -> ClientError {
        let start = String::from_utf8_lossy(&body[..body.len().min(200)]);
        let line = start.lines().next().unwrap_or_default().trim();
        ClientError::Foreign {
            request: self.request.clone(),
            status: self.response.status().as_u16(),
            text: if line.is_empty() { String::new() } else { format!(": {line}") },
        }
    }
}

/// Waits for `work` while moving the connection on.
async fn drive<T>(connection: &mut Option<Connection>, work: impl Future<Output = T>) -> T {
    let mut work = std::pin::pin!(work);
    poll_fn(|cx| {
        if let Poll::Ready(value) = work.as_mut().poll(cx) {
            return Poll::Ready(value);
        }
        if let Some(running) = connection
            && running.as_mut().poll(cx).is_ready()
        {
            // Its error, if any, reaches the work, which says more about what was lost.
            *connection = None;
        }
        work.as_mut().poll(cx)
    })
    .await
}

async fn within<T>(after: Duration, request: &str, work: impl Future<Output = T>) -> Result<T, ClientError> {
    let late = |_| ClientError::Deadline { request: request.to_owned(), after };
    tokio::time::timeout(after, work).await.map_err(late)
}

fn broken(request: String, source: hyper::Error) -> ClientError {
    // A failed upload body comes back wrapped: what could not be read is the news, not the connection.
    let mut cause = std::error::Error::source(&source);
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref::<io::Error>().and_then(crate::upload::unreadable) {
            return ClientError::Upload(error);
        }
        cause = error.source();
    }
    ClientError::Broken { request, source }
}
