//! An async stream for a blocking reader, with a bound on silence.

use std::io::{self, Read};
use std::pin::Pin;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::runtime::Handle;

/// Reads an async stream from a blocking job. A sender that falls silent ends it, so that it cannot keep a
/// worker for ever.
pub(crate) struct Upload {
    source: Pin<Box<dyn AsyncRead + Send>>,
    runtime: Handle,
    idle: Duration,
}

impl Upload {
    /// Must be called inside the runtime that drives `source`.
    pub(crate) fn new(source: impl AsyncRead + Send + 'static, idle: Duration) -> Self {
        Self { source: Box::pin(source), runtime: Handle::current(), idle }
    }
}

impl Read for Upload {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let (source, idle) = (&mut self.source, self.idle);
        let read = self.runtime.block_on(async { tokio::time::timeout(idle, source.read(buffer)).await });
        read.unwrap_or_else(|_| Err(io::Error::new(io::ErrorKind::TimedOut, "the sender fell silent")))
    }
}
