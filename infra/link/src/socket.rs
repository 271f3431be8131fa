//! What every connection of the link asks of TCP.

use std::io;

use rustix::net::sockopt::{set_tcp_nodelay, set_tcp_thin_linear_timeouts};
use tokio::net::TcpStream;

/// Words go out at once, and lost packets are sent again after equal waits, the first times (tcp(7),
/// `TCP_THIN_LINEAR_TIMEOUTS`). With waits that double, a link that loses one packet in twenty would be silent for
/// longer than 5 s some times a day, and its agent given up for that (`kogge-sim --day --doubling`).
///
/// # Errors
/// What the kernel says; then words may be late, but they still arrive.
pub(crate) fn hurry(stream: &TcpStream) -> io::Result<()> {
    set_tcp_nodelay(stream, true)?;
    set_tcp_thin_linear_timeouts(stream, true)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::net::sockopt::{tcp_nodelay, tcp_thin_linear_timeouts};

    #[tokio::test]
    async fn both_are_set() -> io::Result<()> {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        let stream = TcpStream::connect(listener.local_addr()?).await?;
        hurry(&stream)?;
        assert!(tcp_nodelay(&stream)? && tcp_thin_linear_timeouts(&stream)?);
        Ok(())
    }
}
