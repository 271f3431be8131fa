//! One TCP connection to a backend.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::io::AsyncWrite;
use tokio::net::TcpStream;

/// First size of a read, enough for the usual response.
const MIN_READ: usize = 4 * 1024;
/// Largest size of a read, reached while a body fills every read before.
const MAX_READ: usize = 64 * 1024;

/// A connection and what was read ahead on it.
#[derive(Debug)]
pub(crate) struct UpstreamConnection {
    io: TcpStream,
    read: BytesMut,
    /// Read, but beyond what was asked for; comes before anything in `read`.
    ahead: Bytes,
    read_size: usize,
    max_idle_ms: Option<u64>,
}

impl UpstreamConnection {
    /// # Errors
    /// What the kernel says, or a time-out.
    pub(crate) async fn open(endpoint: SocketAddr, timeout: Duration) -> io::Result<Self> {
        let io = tokio::time::timeout(timeout, TcpStream::connect(endpoint)).await??;
        io.set_nodelay(true)?;
        // What kernels cannot do that do not know it is no matter here.
        let _ = kogge_host::tcp::limit_waits(&io);
        Ok(Self { io, read: BytesMut::new(), ahead: Bytes::new(), read_size: MIN_READ, max_idle_ms: None })
    }

    /// How long the backend said it keeps an unused connection.
    pub(crate) const fn max_idle_ms(&self) -> Option<u64> {
        self.max_idle_ms
    }

    pub(crate) const fn set_max_idle_ms(&mut self, max_idle_ms: Option<u64>) {
        self.max_idle_ms = max_idle_ms;
    }

    /// Whether an unused connection is still one: open, and silent. A backend that speaks unasked could have its
    /// words taken for the answer to the next request. Costs a system call only when something has happened.
    pub(crate) fn is_quiet(&mut self) -> bool {
        if self.has_unread() {
            return false;
        }
        match self.io.poll_read_ready(&mut Context::from_waker(Waker::noop())) {
            Poll::Pending => true,
            Poll::Ready(Err(_)) => false,
            // Readiness can be left over from the last response; only a read tells.
            Poll::Ready(Ok(())) => {
                matches!(self.io.try_read(&mut [0]), Err(error) if error.kind() == io::ErrorKind::WouldBlock)
            }
        }
    }

    /// Reads once and tells how many bytes came; 0 means the backend has closed.
    pub(crate) fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if self.read.capacity() - self.read.len() < self.read_size / 2 {
            self.read.reserve(self.read_size);
        }
        let room = self.read.capacity() - self.read.len();
        let count = ready!(tokio_util::io::poll_read_buf(Pin::new(&mut self.io), cx, &mut self.read))?;
        if count == room {
            self.read_size = (self.read_size * 2).min(MAX_READ);
        }
        Poll::Ready(Ok(count))
    }

    /// Everything read and not used yet.
    pub(crate) fn take_read(&mut self) -> Bytes {
        if self.ahead.is_empty() { self.read.split().freeze() } else { std::mem::take(&mut self.ahead) }
    }

    /// Gives back the beginning of something; the rest will be read in one piece with it.
    pub(crate) fn put_back(&mut self, beginning: Bytes) {
        assert!(!self.has_unread(), "nothing may be read between taking and giving back");
        self.read = beginning.try_into_mut().unwrap_or_else(|shared| BytesMut::from(shared.as_ref()));
    }

    /// Gives back what belongs to the next part of the response.
    pub(crate) fn put_ahead(&mut self, ahead: Bytes) {
        assert!(!self.has_unread(), "nothing may be read between taking and giving back");
        self.ahead = ahead;
    }

    pub(crate) fn has_unread(&self) -> bool {
        !self.read.is_empty() || !self.ahead.is_empty()
    }

    pub(crate) fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match slices {
            // A list of one costs the kernel more than the one.
            [only] => Pin::new(&mut self.io).poll_write(cx, only),
            _ => Pin::new(&mut self.io).poll_write_vectored(cx, slices),
        }
    }

    /// The bare socket, for a tunnel, with what was read ahead.
    pub(crate) fn into_parts(mut self) -> (TcpStream, Bytes) {
        let ahead = self.take_read();
        (self.io, ahead)
    }
}
