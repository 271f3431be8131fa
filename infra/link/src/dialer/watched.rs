//! A connection that knows whether its words arrive at the other machine.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use kogge_host::tcp;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::watch;

/// So often in a row words are sent again before the link counts as standing still: at equal waits of 200 ms, for
/// 0.8 s. On a link that loses one packet in twenty that is rare.
const STILL: u8 = 4;

/// It is looked at whenever something is said; an agent says something each second.
pub(super) struct Watched {
    stream: TcpStream,
    is_still: watch::Sender<bool>,
}

impl Watched {
    /// Around `stream`, with the news of whether it stands still.
    pub(super) fn new(stream: TcpStream) -> (Self, watch::Receiver<bool>) {
        let (is_still, news) = watch::channel(false);
        (Self { stream, is_still }, news)
    }

    fn look(&self) {
        // Who cannot know goes on as if all were well.
        let is_still = tcp::repeats(&self.stream).is_ok_and(|repeats| repeats >= STILL);
        self.is_still.send_if_modified(|known| std::mem::replace(known, is_still) != is_still);
    }
}

impl AsyncRead for Watched {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Watched {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.stream).poll_write(context, bytes));
        self.look();
        Poll::Ready(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.stream).poll_write_vectored(context, parts));
        self.look();
        Poll::Ready(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
