//! What every connection of the link asks of TCP.

use std::io;
use std::mem::size_of;
use std::os::fd::AsRawFd;
use std::time::Duration;

use rustix::net::sockopt::{
    set_socket_keepalive, set_tcp_keepcnt, set_tcp_keepidle, set_tcp_keepintvl, set_tcp_nodelay,
    set_tcp_thin_linear_timeouts,
};
use tokio::net::TcpStream;

/// Silence after which the other machine is asked whether the connection still stands, and between such questions.
const PROBE: Duration = Duration::from_secs(10);
/// Questions without an answer until it does not.
const PROBES: u32 = 2;

/// Words go out at once, and lost packets are sent again after equal waits, the first times (tcp(7),
/// `TCP_THIN_LINEAR_TIMEOUTS`). With waits that double, a link that loses one packet in twenty would be silent for
/// longer than 5 s some times a day, and its agent given up for that (`kogge-sim --day --doubling`). A connection on
/// which nobody speaks is found to be broken after half a minute.
///
/// # Errors
/// What the kernel says; then words may be late, but they still arrive.
pub(crate) fn hurry(stream: &TcpStream) -> io::Result<()> {
    set_tcp_nodelay(stream, true)?;
    set_tcp_thin_linear_timeouts(stream, true)?;
    set_tcp_keepidle(stream, PROBE)?;
    set_tcp_keepintvl(stream, PROBE)?;
    set_tcp_keepcnt(stream, PROBES)?;
    set_socket_keepalive(stream, true)?;
    Ok(())
}

/// How often in a row the oldest words on their way were sent again without an answer of the other machine (tcp(7),
/// `TCP_INFO`): 0 while the link carries, however slow the process at its other end is.
///
/// # Errors
/// What the kernel says.
pub(crate) fn repeats(stream: &TcpStream) -> io::Result<u8> {
    #[expect(unsafe_code, reason = "a structure of plain numbers may be all zeros")]
    let mut info: libc::tcp_info = unsafe { std::mem::zeroed() };
    let mut length = libc::socklen_t::try_from(size_of::<libc::tcp_info>()).map_err(io::Error::other)?;
    let (to, socket) = (std::ptr::from_mut(&mut info).cast(), stream.as_raw_fd());
    #[expect(unsafe_code, reason = "the kernel writes no more than the length it is told")]
    let answer = unsafe { libc::getsockopt(socket, libc::IPPROTO_TCP, libc::TCP_INFO, to, &raw mut length) };
    if answer == 0 { Ok(info.tcpi_retransmits) } else { Err(io::Error::last_os_error()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::net::sockopt::{
        socket_keepalive, tcp_keepcnt, tcp_keepidle, tcp_nodelay, tcp_thin_linear_timeouts,
    };

    #[tokio::test]
    async fn all_are_set() -> io::Result<()> {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        let stream = TcpStream::connect(listener.local_addr()?).await?;
        hurry(&stream)?;
        assert!(tcp_nodelay(&stream)? && tcp_thin_linear_timeouts(&stream)?);
        assert!(socket_keepalive(&stream)?);
        assert_eq!((tcp_keepidle(&stream)?, tcp_keepcnt(&stream)?), (PROBE, PROBES));
        Ok(())
    }

    #[tokio::test]
    async fn nothing_is_repeated_on_a_link_that_carries() -> io::Result<()> {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        let stream = TcpStream::connect(listener.local_addr()?).await?;
        // The other process does not read: that is no matter of the link.
        stream.try_write(&[7; 1_000])?;
        assert_eq!(repeats(&stream)?, 0);
        Ok(())
    }
}
