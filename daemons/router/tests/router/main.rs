//! The router between real sockets: scripted backends, hyper backends, raw clients.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on ends there")]

mod draining;
mod failing;
mod forwarding;
mod http2;
mod limits;
mod retrying;
mod routing;
mod stage;
mod streaming;
mod swapping;
mod upgrading;
