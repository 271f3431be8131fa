//! Lines that tasks wrote.

use kogge_model::view::{LogLineView, LogQuery};

use crate::client::Client;
use crate::error::ClientError;
use crate::feed::Feed;
use crate::payload::Payload;
use crate::request::Request;

impl Client {
    /// Lines as `query` wants them, the oldest first.
    ///
    /// # Errors
    /// As every request: see [`ClientError`].
    pub async fn logs(&self, query: &LogQuery) -> Result<Feed<LogLineView>, ClientError> {
        let mut request = Request::get("/logs").flag("follow", query.follow);
        if let Some(of) = &query.of {
            request = request.query("of", of);
        }
        if let Some(since) = query.since {
            request = request.query("since", &since.to_string());
        }
        if let Some(tail) = query.tail {
            request = request.query("tail", &tail.to_string());
        }
        Ok(Feed::new(self.open(request, Payload::empty(), &[]).await?))
    }
}
