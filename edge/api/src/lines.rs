//! Answers that come line by line, each a JSON value (newline-delimited JSON).

use std::time::Duration;

use axum::body::Body;
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use futures_util::{Stream, StreamExt as _, stream};
use http::{HeaderValue, header};
use serde::Serialize;
use tokio_util::sync::CancellationToken;

/// Something is sent at least this often, if only an empty line: both sides notice when the other is gone.
pub(crate) const HEARTBEAT: Duration = Duration::from_secs(15);

pub(crate) const MEDIA_TYPE: &str = "application/x-ndjson";

/// Sends values as they come, until there are no more or `end` is cancelled. A slow reader slows the source down.
pub(crate) fn respond<T: Serialize + 'static>(
    values: impl Stream<Item = T> + Send + 'static,
    end: CancellationToken,
) -> Response {
    let values = Box::pin(values.take_until(end.cancelled_owned()));
    let lines = stream::unfold(values, |mut values| async move {
        let line = match tokio::time::timeout(HEARTBEAT, values.next()).await {
            Err(_) => Bytes::from_static(b"\n"),
            Ok(None) => return None,
            Ok(Some(value)) => line(&value),
        };
        Some((Ok::<_, std::convert::Infallible>(line), values))
    });
    let mut response = Body::from_stream(lines).into_response();
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
    response
}

fn line(value: &impl Serialize) -> Bytes {
    let mut line = serde_json::to_vec(value).expect("views are plain data with text keys");
    line.push(b'\n');
    line.into()
}
