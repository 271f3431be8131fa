//! One request and its response on one connection.

use std::io;
use std::task::{Context, Poll};

use bytes::{Buf, Bytes};
use http::{HeaderMap, Method, StatusCode};
use thiserror::Error;

use crate::upstream::connection::UpstreamConnection;
use crate::upstream::request_writer::{RequestWriter, WriteError};
use crate::upstream::response_head::{self, HeadError, ResponseHead};

/// Interim responses a backend may send before its answer.
const MAX_INTERIM: usize = 32;

/// Writes the request and reads the response header; both go on at once, since a backend may answer early.
#[derive(Debug)]
pub(crate) struct Exchange {
    pub(crate) connection: UpstreamConnection,
    pub(crate) writer: RequestWriter,
    max_header_bytes: usize,
    has_answered: bool,
    interim: usize,
    write_error: Option<io::Error>,
}

/// Why there is no response.
#[derive(Debug, Error)]
pub(crate) enum ExchangeError {
    #[error("it closed the connection without an answer")]
    Closed(#[source] Option<io::Error>),
    #[error(transparent)]
    Head(#[from] HeadError),
    #[error("its response header is larger than {limit} bytes")]
    TooLarge {
        /// What is allowed.
        limit: usize,
    },
    #[error("it sent too many interim responses")]
    Interim,
    #[error("it sent no response in time")]
    Timeout,
    /// The client's fault, who hears of it only if it still listens.
    #[error(transparent)]
    Client(WriteError),
}

impl Exchange {
    pub(crate) const fn new(
        connection: UpstreamConnection,
        writer: RequestWriter,
        max_header_bytes: usize,
    ) -> Self {
        Self { connection, writer, max_header_bytes, has_answered: false, interim: 0, write_error: None }
    }

    /// Whether any byte of a response came.
    pub(crate) const fn has_answered(&self) -> bool {
        self.has_answered
    }

    /// Ready with the final response header. What was read behind it waits in the connection.
    pub(crate) fn poll_head(
        &mut self,
        cx: &mut Context<'_>,
        method: &Method,
        spare: &mut HeaderMap,
    ) -> Poll<Result<ResponseHead, ExchangeError>> {
        if let Err(error) = self.pump(cx) {
            return Poll::Ready(Err(error));
        }
        loop {
            match self.connection.poll_fill(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Ok(0)) => {
                    return Poll::Ready(Err(ExchangeError::Closed(self.write_error.take())));
                }
                Poll::Ready(Err(error)) => return Poll::Ready(Err(ExchangeError::Closed(Some(error)))),
                Poll::Ready(Ok(_)) => self.has_answered = true,
            }
            match self.parse(method, spare) {
                Ok(Some(head)) => return Poll::Ready(Ok(head)),
                Ok(None) => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
            // An interim response may have released the body.
            if let Err(error) = self.pump(cx) {
                return Poll::Ready(Err(error));
            }
        }
    }

    /// Moves the request on. A backend that stops listening may have answered before it did, so that is no error yet.
    pub(crate) fn pump(&mut self, cx: &mut Context<'_>) -> Result<(), ExchangeError> {
        if self.write_error.is_some() || self.writer.is_done() {
            return Ok(());
        }
        match self.writer.poll_write(cx, &mut self.connection) {
            Poll::Ready(Err(WriteError::Backend(error))) => {
                self.write_error = Some(error);
                Ok(())
            }
            Poll::Ready(Err(error)) => Err(ExchangeError::Client(error)),
            Poll::Ready(Ok(())) | Poll::Pending => Ok(()),
        }
    }

    fn parse(
        &mut self,
        method: &Method,
        spare: &mut HeaderMap,
    ) -> Result<Option<ResponseHead>, ExchangeError> {
        let mut read: Bytes = self.connection.take_read();
        loop {
            let Some((mut head, length)) = response_head::parse(&read, method, spare)? else {
                if read.len() > self.max_header_bytes {
                    return Err(ExchangeError::TooLarge { limit: self.max_header_bytes });
                }
                self.connection.put_back(read);
                return Ok(None);
            };
            read.advance(length);
            if head.status == StatusCode::SWITCHING_PROTOCOLS || !head.status.is_informational() {
                self.connection.put_ahead(read);
                return Ok(Some(head));
            }
            self.interim += 1;
            if self.interim > MAX_INTERIM {
                return Err(ExchangeError::Interim);
            }
            if head.status == StatusCode::CONTINUE {
                self.writer.release();
            }
            head.headers.clear();
            *spare = head.headers;
        }
    }
}
