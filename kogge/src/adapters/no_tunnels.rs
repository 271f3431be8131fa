//! A cloud with one server has no others to answer.

use kogge_link::Tunnels;
use tokio::io::DuplexStream;

/// Hangs up.
pub(crate) struct NoTunnels;

impl Tunnels for NoTunnels {
    fn opened(&self, server: &str, _stream: DuplexStream) {
        tracing::warn!(%server, "another server of this cluster asks, but this one is alone: its streams are closed");
    }
}
