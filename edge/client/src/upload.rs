//! Bytes that are sent as they are read, with a look at how far it is.

use std::fmt;
use std::io;

use futures_util::StreamExt as _;
use http_body::Frame;
use http_body_util::{BodyExt as _, StreamBody};
use tokio::io::AsyncRead;
use tokio_util::io::ReaderStream;

use crate::payload::RequestBody;

const CHUNK_BYTES: usize = 256 * 1024;

/// Marks an error of our own input, to tell it from the connection's.
#[derive(Debug)]
struct Unreadable(io::Error);

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for Unreadable {}

/// What was wrong with the input, if `error` is about that.
pub(crate) fn unreadable(error: &io::Error) -> Option<io::Error> {
    let inner = &error.get_ref()?.downcast_ref::<Unreadable>()?.0;
    Some(io::Error::new(inner.kind(), inner.to_string()))
}

/// The body that sends `input`; `progress` is told the bytes handed over so far.
pub(crate) fn body(
    input: impl AsyncRead + Send + 'static,
    mut progress: impl FnMut(u64) + Send + 'static,
) -> RequestBody {
    let mut sent = 0u64;
    let chunks = ReaderStream::with_capacity(input, CHUNK_BYTES).map(move |chunk| match chunk {
        Ok(bytes) => {
            sent = sent.saturating_add(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
            progress(sent);
            Ok(Frame::data(bytes))
        }
        Err(error) => Err(io::Error::new(error.kind(), Unreadable(error))),
    });
    StreamBody::new(chunks).boxed_unsync()
}
