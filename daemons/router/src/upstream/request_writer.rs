//! The request on its way to a backend: header and body, with what is known for a retry.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, Bytes};
use http_body::{Body, Frame};
use hyper::body::Incoming;
use thiserror::Error;
use tokio::time::Sleep;

use crate::upstream::body_decoder::is_trailer;
use crate::upstream::connection::UpstreamConnection;
use crate::upstream::framing::Framing;

/// Pieces of the body that go into one system call.
const MAX_SLICES: usize = 16;

/// Writes one request; keeps the header, and the body's first piece until something was written.
#[derive(Debug)]
pub(crate) struct RequestWriter {
    head: Vec<u8>,
    head_at: usize,
    body: Option<Incoming>,
    framing: Framing,
    /// Encoded parts of the body that wait to be written.
    queue: VecDeque<Bytes>,
    /// Bytes on the wire, of this attempt.
    sent: u64,
    /// Whether any byte of the body has left the queue, in any attempt.
    is_body_spent: bool,
    /// `Expect: 100-continue` was sent on: the body waits for the backend's word, but not for ever.
    hold: Option<Pin<Box<Sleep>>>,
}

/// A writer with nothing to write: what stands in while the true one is at work.
impl Default for RequestWriter {
    fn default() -> Self {
        Self {
            head: Vec::new(),
            head_at: 0,
            body: None,
            framing: Framing::Empty,
            queue: VecDeque::new(),
            sent: 0,
            is_body_spent: false,
            hold: None,
        }
    }
}

/// Why a request could not be written.
#[derive(Debug, Error)]
pub(crate) enum WriteError {
    #[error("the backend does not take the request")]
    Backend(#[source] io::Error),
    #[error("the client does not complete the request")]
    Client(#[source] hyper::Error),
    #[error("the client's body is not as long as it said")]
    Length,
}

impl RequestWriter {
    /// `head` is the whole header with its empty line.
    pub(crate) fn new(head: Vec<u8>, body: Incoming, framing: Framing) -> Self {
        let body = match framing {
            Framing::Empty => None,
            _ => Some(body),
        };
        Self { head, body, framing, ..Self::default() }
    }

    /// Keeps the body back until [`RequestWriter::release`], at most for `patience`.
    pub(crate) fn hold_body(&mut self, patience: Duration) {
        self.hold = Some(Box::pin(tokio::time::sleep(patience)));
    }

    /// The backend wants the body.
    pub(crate) fn release(&mut self) {
        self.hold = None;
    }

    pub(crate) fn is_done(&self) -> bool {
        self.head_at == self.head.len() && self.queue.is_empty() && self.body.is_none()
    }

    /// Bytes on the wire, of this attempt.
    pub(crate) const fn sent(&self) -> u64 {
        self.sent
    }

    /// Whether the whole request can be sent once more.
    pub(crate) const fn can_rewind(&self) -> bool {
        !self.is_body_spent
    }

    /// Begins again, for another connection.
    pub(crate) fn rewind(&mut self) {
        assert!(self.can_rewind(), "a body that was spent cannot be sent again");
        self.head_at = 0;
        self.sent = 0;
    }

    /// Writes as much as can be written now. Ready when all is.
    pub(crate) fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        to: &mut UpstreamConnection,
    ) -> Poll<Result<(), WriteError>> {
        loop {
            let is_waiting = self.poll_body(cx)?.is_pending();
            if self.head_at == self.head.len() && self.queue.is_empty() {
                return if is_waiting { Poll::Pending } else { Poll::Ready(Ok(())) };
            }
            let count = ready!(self.poll_write_once(cx, to)).map_err(WriteError::Backend)?;
            if count == 0 {
                return Poll::Ready(Err(WriteError::Backend(io::ErrorKind::WriteZero.into())));
            }
            self.advance(count);
        }
    }

    /// Fetches the next piece of the body when none waits. Ready when one waits or the body is over.
    fn poll_body(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), WriteError>> {
        while self.queue.is_empty() && self.body.is_some() {
            if let Some(hold) = &mut self.hold {
                ready!(hold.as_mut().poll(cx));
                self.hold = None;
            }
            let Some(body) = &mut self.body else { break };
            match ready!(Pin::new(body).poll_frame(cx)) {
                Some(frame) => self.encode(frame.map_err(WriteError::Client)?)?,
                None => self.end_body()?,
            }
        }
        Poll::Ready(Ok(()))
    }

    fn encode(&mut self, frame: Frame<Bytes>) -> Result<(), WriteError> {
        match frame.into_data() {
            Ok(data) if data.is_empty() => {}
            Ok(data) => match &mut self.framing {
                Framing::Length(left) => {
                    let length = u64::try_from(data.len()).unwrap_or(u64::MAX);
                    *left = left.checked_sub(length).ok_or(WriteError::Length)?;
                    self.queue.push_back(data);
                }
                _ => {
                    self.queue.push_back(Bytes::from(format!("{:x}\r\n", data.len())));
                    self.queue.push_back(data);
                    self.queue.push_back(Bytes::from_static(b"\r\n"));
                }
            },
            Err(frame) => {
                if let (Framing::Chunked, Ok(trailers)) = (self.framing, frame.into_trailers()) {
                    let mut end = b"0\r\n".to_vec();
                    for (name, value) in trailers.iter().filter(|(name, _)| is_trailer(name)) {
                        for part in [name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"] {
                            end.extend_from_slice(part);
                        }
                    }
                    end.extend_from_slice(b"\r\n");
                    self.queue.push_back(end.into());
                    self.body = None;
                }
            }
        }
        Ok(())
    }

    fn end_body(&mut self) -> Result<(), WriteError> {
        self.body = None;
        match self.framing {
            Framing::Chunked => self.queue.push_back(Bytes::from_static(b"0\r\n\r\n")),
            Framing::Length(1..) => return Err(WriteError::Length),
            Framing::Length(0) | Framing::Empty | Framing::UntilClose => {}
        }
        Ok(())
    }

    fn poll_write_once(&self, cx: &mut Context<'_>, to: &mut UpstreamConnection) -> Poll<io::Result<usize>> {
        let head = &self.head[self.head_at..];
        if self.queue.is_empty() {
            return to.poll_write(cx, &[io::IoSlice::new(head)]);
        }
        let mut slices = [io::IoSlice::new(&[]); MAX_SLICES];
        let parts = std::iter::once(head).chain(self.queue.iter().map(Bytes::as_ref));
        let mut used = 0;
        for (slice, part) in slices.iter_mut().zip(parts) {
            *slice = io::IoSlice::new(part);
            used += 1;
        }
        to.poll_write(cx, &slices[..used])
    }

    fn advance(&mut self, count: usize) {
        self.sent += u64::try_from(count).unwrap_or(u64::MAX);
        let of_head = count.min(self.head.len() - self.head_at);
        self.head_at += of_head;
        let mut of_body = count - of_head;
        self.is_body_spent |= of_body > 0;
        while of_body > 0 {
            let first = self.queue.front_mut().expect("no more was written than there was");
            let part = of_body.min(first.len());
            first.advance(part);
            of_body -= part;
            if first.is_empty() {
                self.queue.pop_front();
            }
        }
    }
}
