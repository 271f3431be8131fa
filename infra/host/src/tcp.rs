//! What connections ask of TCP on which little is said and everything must arrive soon: those of agents and servers, and
//! to the engines of the state.

use std::ffi::c_int;
use std::io;
use std::mem::size_of;
use std::os::fd::{AsFd, AsRawFd};
use std::time::Duration;

use rustix::net::sockopt::{
    set_socket_keepalive, set_tcp_congestion, set_tcp_keepcnt, set_tcp_keepidle, set_tcp_keepintvl,
    set_tcp_nodelay, set_tcp_thin_linear_timeouts,
};

/// Silence after which the other machine is asked whether the connection still stands, and between such questions.
const PROBE: Duration = Duration::from_secs(10);
/// Questions without an answer until it does not.
const PROBES: u32 = 2;

/// Those that take a lost packet for a sign of too much traffic. The kernel knows no thin streams under others: BBR keeps
/// no threshold by which it would tell them. The first is the usual one, the second is never missing.
const CONTROLS: [&str; 2] = ["cubic", "reno"];

/// The longest wait before lost packets are sent again, in ms; a shorter one is not to be had.
const LONGEST_WAIT_MS: c_int = 1_000;
/// `TCP_RTO_MAX_MS`, since Linux 6.15.
const TCP_RTO_MAX_MS: c_int = 44;

/// Words go out at once, and lost packets are sent again after equal waits, the first times (tcp(7),
/// `TCP_THIN_LINEAR_TIMEOUTS`), and then after at most a second, if the kernel is new enough. With waits that double, a
/// link that loses one packet in twenty would be silent for longer than 5 s some times a day, and its agent given up for
/// that (`kogge-sim --day --doubling`). A connection on which nobody speaks is found to be broken after half a minute.
///
/// # Errors
/// What the kernel says; then words may be late, but they still arrive.
pub fn hurry(socket: &impl AsFd) -> io::Result<()> {
    set_tcp_nodelay(socket, true)?;
    set_tcp_keepidle(socket, PROBE)?;
    set_tcp_keepintvl(socket, PROBE)?;
    set_tcp_keepcnt(socket, PROBES)?;
    set_socket_keepalive(socket, true)?;
    // Older kernels do not know it, and go on with what follows.
    let _ = limit_waits(socket);
    if !CONTROLS.iter().any(|control| set_tcp_congestion(socket, control).is_ok()) {
        return Err(io::Error::other("the kernel has no congestion control that knows thin streams"));
    }
    Ok(set_tcp_thin_linear_timeouts(socket, true)?)
}

/// Lost packets are sent again after a second at most, also when they have been several times: a link that was gone is
/// used as soon as it is back. The kernel counts repetitions, so a connection whose link stays away breaks after about a
/// quarter of a minute.
///
/// # Errors
/// What the kernel says: those before Linux 6.15 do not know it.
pub fn limit_waits(socket: &impl AsFd) -> io::Result<()> {
    let wait = std::ptr::from_ref(&LONGEST_WAIT_MS).cast();
    let length = libc::socklen_t::try_from(size_of::<c_int>()).map_err(io::Error::other)?;
    let socket = socket.as_fd().as_raw_fd();
    #[expect(unsafe_code, reason = "the kernel reads one number of the length it is told")]
    let answer = unsafe { libc::setsockopt(socket, libc::IPPROTO_TCP, TCP_RTO_MAX_MS, wait, length) };
    if answer == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// How often in a row the oldest words on their way were sent again without an answer of the other machine (tcp(7),
/// `TCP_INFO`): 0 while the link carries, however slow the process at its other end is.
///
/// # Errors
/// What the kernel says.
pub fn repeats(socket: &impl AsFd) -> io::Result<u8> {
    Ok(info(socket)?.tcpi_retransmits)
}

/// The largest piece that one packet to the other machine carries, in bytes, as both machines believe (tcp(7),
/// `TCP_INFO`): what lies between them may carry less.
///
/// # Errors
/// What the kernel says.
pub fn segment_bytes(socket: &impl AsFd) -> io::Result<usize> {
    usize::try_from(info(socket)?.tcpi_snd_mss).map_err(io::Error::other)
}

fn info(socket: &impl AsFd) -> io::Result<libc::tcp_info> {
    #[expect(unsafe_code, reason = "a structure of plain numbers may be all zeros")]
    let mut info: libc::tcp_info = unsafe { std::mem::zeroed() };
    let mut length = libc::socklen_t::try_from(size_of::<libc::tcp_info>()).map_err(io::Error::other)?;
    let (to, socket) = (std::ptr::from_mut(&mut info).cast(), socket.as_fd().as_raw_fd());
    #[expect(unsafe_code, reason = "the kernel writes no more than the length it is told")]
    let answer = unsafe { libc::getsockopt(socket, libc::IPPROTO_TCP, libc::TCP_INFO, to, &raw mut length) };
    if answer == 0 { Ok(info) } else { Err(io::Error::last_os_error()) }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::net::{TcpListener, TcpStream};
    use std::time::Instant;

    use rustix::net::sockopt::{
        socket_keepalive, tcp_congestion, tcp_keepcnt, tcp_keepidle, tcp_nodelay, tcp_thin_linear_timeouts,
    };

    use super::*;

    fn pair() -> io::Result<(TcpListener, TcpStream)> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let stream = TcpStream::connect(listener.local_addr()?)?;
        Ok((listener, stream))
    }

    #[test]
    fn all_are_set() -> io::Result<()> {
        let (_listener, stream) = pair()?;
        hurry(&stream)?;
        assert!(tcp_nodelay(&stream)? && tcp_thin_linear_timeouts(&stream)?);
        assert!(socket_keepalive(&stream)?);
        assert_eq!((tcp_keepidle(&stream)?, tcp_keepcnt(&stream)?), (PROBE, PROBES));
        let control = tcp_congestion(&stream)?;
        assert!(CONTROLS.contains(&control.as_str()), "{control} knows no thin streams");
        Ok(())
    }

    /// Runs a program in the network of this thread.
    fn run(program: &str, arguments: &[&str]) {
        let status = std::process::Command::new(program).args(arguments).status().expect("it starts");
        assert!(status.success(), "{program} {arguments:?}: {status}");
    }

    #[test]
    fn waits_are_equal_on_a_link_that_is_cut() {
        // On a thread of its own, and in a network that is gone with it.
        let (repeats, doublings) =
            std::thread::spawn(on_a_cut_link).join().expect("it ends").expect("no error");
        // With waits that double, each repetition has doubled them.
        assert!(doublings + 4 <= repeats, "{doublings} doublings in {repeats} repetitions");
    }

    fn on_a_cut_link() -> io::Result<(u8, u8)> {
        #[expect(
            unsafe_code,
            reason = "no table of files is split, only this thread's network is another one"
        )]
        unsafe {
            rustix::thread::unshare_unsafe(rustix::thread::UnshareFlags::NEWNET)?;
        }
        run("ip", &["link", "set", "lo", "up"]);
        let (listener, mut stream) = pair()?;
        let (_other, _) = listener.accept()?;
        hurry(&stream)?;
        run(
            "nft",
            &[
                "add table inet cut; add chain inet cut in { type filter hook input priority 0; policy drop; }",
            ],
        );
        stream.write_all(b"word")?;
        let deadline = Instant::now() + Duration::from_secs(60);
        while repeats(&stream)? < 4 && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(20));
        }
        let info = info(&stream)?;
        Ok((info.tcpi_retransmits, info.tcpi_backoff))
    }

    #[test]
    fn a_packet_carries_as_much_as_the_link_allows() -> io::Result<()> {
        let (_listener, stream) = pair()?;
        // Loopback carries 64 KiB; no link carries less than what every machine must take (RFC 9293, 3.7.1).
        assert!((536..=65_536).contains(&segment_bytes(&stream)?));
        Ok(())
    }

    #[test]
    fn nothing_is_repeated_on_a_link_that_carries() -> io::Result<()> {
        let (_listener, mut stream) = pair()?;
        // The other process does not read: that is no matter of the link.
        stream.write_all(&[7; 1_000])?;
        assert_eq!(repeats(&stream)?, 0);
        Ok(())
    }
}
