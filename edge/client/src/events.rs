//! What happens, as it happens (server-sent events, WHATWG HTML §9.2).

use http::{HeaderValue, header};
use kogge_model::view::EventView;

use crate::client::Client;
use crate::error::ClientError;
use crate::feed::Lines;
use crate::payload::Payload;
use crate::request::Request;

/// Events as they come.
pub struct EventFeed {
    lines: Lines,
    data: Vec<u8>,
}

impl Client {
    /// Opens the stream of events; the first is whatever happens next.
    ///
    /// # Errors
    /// As every request: see [`ClientError`].
    pub async fn events(&self) -> Result<EventFeed, ClientError> {
        let accept = [(header::ACCEPT, HeaderValue::from_static("text/event-stream"))];
        let exchange = self.open(Request::get("/events"), Payload::empty(), &accept).await?;
        Ok(EventFeed { lines: Lines::new(exchange), data: Vec::new() })
    }
}

impl EventFeed {
    /// The next event; none when the cloud ends the stream.
    ///
    /// # Errors
    /// When the connection breaks or falls silent, or an event cannot be understood.
    pub async fn next(&mut self) -> Result<Option<EventView>, ClientError> {
        while let Some(line) = self.lines.next().await? {
            if line.is_empty() {
                let data = std::mem::take(&mut self.data);
                if data.is_empty() {
                    continue;
                }
                let malformed = |source| ClientError::Malformed {
                    request: self.lines.exchange.name().to_owned(),
                    source,
                };
                return serde_json::from_slice(&data).map(Some).map_err(malformed);
            }
            if let Some(value) = line.strip_prefix(b"data:") {
                if !self.data.is_empty() {
                    self.data.push(b'\n');
                }
                self.data.extend_from_slice(value.strip_prefix(b" ").unwrap_or(value));
            }
        }
        Ok(None)
    }
}
