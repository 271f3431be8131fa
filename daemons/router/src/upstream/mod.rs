//! HTTP/1.1 towards one backend: the connection, the request on it, the response from it.
//!
//! The request's header is written to one buffer that can be sent again as it is, so that a retry needs no copy, and
//! every step knows how many bytes went out and whether one came back, which is what decides a retry. Everything is
//! polled by the client connection's own task: there is no task and no channel for each request.

pub(crate) mod body_decoder;
pub(crate) mod connection;
pub(crate) mod exchange;
pub(crate) mod framing;
pub(crate) mod request_writer;
pub(crate) mod response_head;
