//! The body of a response on its way to the client.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use thiserror::Error;

use crate::backend::Lease;
use crate::client_connection::Turn;
use crate::upstream::body_decoder::{BodyDecoder, DecodeError, Decoded};
use crate::upstream::exchange::{Exchange, ExchangeError};

/// A body that is there, or one that still comes from a backend.
#[derive(Debug)]
pub(crate) enum ProxyBody {
    /// All of it, or none.
    Full(Option<Bytes>),
    /// Read from the backend as the client takes it.
    Streamed(Box<StreamedBody>),
}

/// A response that is being carried over: holds the connections at both ends.
#[derive(Debug)]
pub(crate) struct StreamedBody {
    /// None once the connection went back to the pool.
    exchange: Option<Exchange>,
    decoder: BodyDecoder,
    read: Bytes,
    lease: Lease,
    turn: Turn,
    is_persistent: bool,
}

/// Why a body broke off. The client learns by the broken connection, never by a body that looks complete.
#[derive(Debug, Error)]
pub(crate) enum BodyError {
    #[error("the backend closed the connection in the middle of a body")]
    Cut,
    #[error("cannot read the body from the backend")]
    Read(#[source] io::Error),
    #[error("the backend's body is malformed")]
    Decode(#[from] DecodeError),
    #[error("the request's body broke off")]
    Request(#[source] ExchangeError),
}

impl ProxyBody {
    pub(crate) fn full(bytes: Bytes) -> Self {
        Self::Full(if bytes.is_empty() { None } else { Some(bytes) })
    }

    pub(crate) const fn empty() -> Self {
        Self::Full(None)
    }
}

impl StreamedBody {
    pub(crate) fn new(
        exchange: Exchange,
        decoder: BodyDecoder,
        lease: Lease,
        turn: Turn,
        is_persistent: bool,
    ) -> Self {
        turn.note_body();
        Self { exchange: Some(exchange), decoder, read: Bytes::new(), lease, turn, is_persistent }
    }

    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let Some(exchange) = &mut self.exchange else { return Poll::Ready(None) };
        let sent = exchange.writer.sent();
        if let Err(error) = exchange.pump(cx) {
            return Poll::Ready(Some(Err(BodyError::Request(error))));
        }
        if exchange.writer.sent() != sent {
            self.turn.note_body();
        }
        loop {
            if self.read.is_empty() {
                self.read = exchange.connection.take_read();
            }
            let frame = match self.decoder.decode(&mut self.read) {
                Err(error) => return Poll::Ready(Some(Err(error.into()))),
                Ok(Decoded::Data(data)) => Frame::data(data),
                Ok(Decoded::Trailers(trailers)) => Frame::trailers(trailers),
                Ok(Decoded::End) => {
                    self.finish();
                    return Poll::Ready(None);
                }
                Ok(Decoded::NeedMore) => match exchange.connection.poll_fill(cx) {
                    Poll::Pending => return Poll::Pending,
                    Poll::Ready(Err(error)) => return Poll::Ready(Some(Err(BodyError::Read(error)))),
                    Poll::Ready(Ok(0)) if self.decoder.ends_with_connection() => {
                        self.exchange = None;
                        return Poll::Ready(None);
                    }
                    Poll::Ready(Ok(0)) => return Poll::Ready(Some(Err(BodyError::Cut))),
                    Poll::Ready(Ok(_)) => continue,
                },
            };
            self.turn.note_body();
            // The end is told with the last frame, so the connection is free before the client has it all.
            if self.decoder.is_done() {
                self.finish();
            }
            return Poll::Ready(Some(Ok(frame)));
        }
    }

    /// Gives the connection back, if nothing is left on it in either direction.
    fn finish(&mut self) {
        let Some(exchange) = self.exchange.take() else { return };
        let is_clean = exchange.writer.is_done() && self.read.is_empty() && !exchange.connection.has_unread();
        if self.is_persistent && is_clean {
            put_back(&self.lease, exchange, self.turn.connection().router.clock.now_ms());
        }
    }
}

/// Keeps a connection whose response is complete for the next request, unless the backend has been retired.
pub(crate) fn put_back(lease: &Lease, exchange: Exchange, now_ms: u64) {
    if lease.is_retired() {
        return;
    }
    lease.pool.put(exchange.connection, now_ms);
    // Retiring sets its flag before it clears the pool, so one of both sees this connection.
    if lease.is_retired() {
        lease.pool.clear();
    }
}

impl Body for ProxyBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match self.get_mut() {
            Self::Full(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Self::Streamed(body) => body.poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Full(bytes) => bytes.is_none(),
            Self::Streamed(body) => body.exchange.is_none(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Full(bytes) => {
                let length = bytes.as_ref().map_or(0, Bytes::len);
                SizeHint::with_exact(u64::try_from(length).unwrap_or(u64::MAX))
            }
            Self::Streamed(body) => {
                body.decoder.remaining().map_or_else(SizeHint::default, SizeHint::with_exact)
            }
        }
    }
}
