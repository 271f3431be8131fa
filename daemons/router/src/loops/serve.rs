//! Serves one client connection.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use hyper_util::server::conn::auto;
use kogge_host::tasks::{OnPanic, TaskGroup};
use tokio::io::{AsyncRead, AsyncWrite};

use crate::client_connection::{ClientConnection, Order};
use crate::client_io::ClientIo;
use crate::proxy;
use crate::router::Inner;

/// Starts the streams of HTTP/2 connections as tasks.
#[derive(Debug, Clone)]
pub(crate) struct Streams(TaskGroup);

impl<F> hyper::rt::Executor<F> for Streams
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    fn execute(&self, stream: F) {
        drop(self.0.spawn("stream", OnPanic::Log, stream));
    }
}

/// What both versions of HTTP are told for every connection.
pub(crate) fn builder(router: &Inner) -> auto::Builder<Streams> {
    let mut builder = auto::Builder::new(Streams(router.clients.clone()));
    let max_header_bytes = router.config.max_header_bytes.max(8 * 1024);
    // The sweeper keeps the time of headers, so hyper needs no timer.
    builder.http1().header_read_timeout(None).max_buf_size(max_header_bytes);
    builder
        .http2()
        .max_concurrent_streams(router.config.max_streams)
        .max_header_list_size(u32::try_from(max_header_bytes).unwrap_or(u32::MAX));
    builder
}

/// Serves `stream`, plain or decrypted, until it ends or is told to.
pub(crate) async fn run<S>(http: auto::Builder<Streams>, stream: S, connection: Arc<ClientConnection>)
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let io = TokioIo::new(ClientIo::new(stream, Arc::clone(&connection)));
    let service = service_fn(|request| proxy::answer(Arc::clone(&connection), request));
    let mut serving = pin!(http.serve_connection_with_upgrades(io, service));
    let (mut is_known, mut is_finishing) = (false, false);
    let served = poll_fn(|cx| {
        if !is_known {
            connection.set_waker(cx);
            is_known = true;
        }
        match connection.order() {
            Order::Serve => {}
            Order::Finish if is_finishing => {}
            Order::Finish => {
                serving.as_mut().graceful_shutdown();
                is_finishing = true;
            }
            Order::Close => return Poll::Ready(Ok(())),
        }
        serving.as_mut().poll(cx)
    });
    if let Err(error) = served.await {
        tracing::debug!(%error, "client connection ended");
    }
}
