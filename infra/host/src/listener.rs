//! Doors: bound listeners with errors that name the door.

use std::io;
use std::net::SocketAddr;

use thiserror::Error;
use tokio::net::{TcpListener, TcpSocket};

/// A door that could not be opened.
#[derive(Debug, Error)]
#[error("cannot open door {door} on {address}")]
pub struct BindError {
    /// The door's name, as `kogge doors` prints it.
    pub door: &'static str,
    /// The address asked for.
    pub address: SocketAddr,
    /// What the kernel said.
    #[source]
    pub source: io::Error,
}

/// Listens on `address` for the door named `door`; port 0 takes any free one.
///
/// # Errors
/// When the address is in use, is not ours, or needs a privilege we lack.
pub fn bind(door: &'static str, address: SocketAddr) -> Result<TcpListener, BindError> {
    let open = || {
        let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        socket.listen(1024)
    };
    open().map_err(|source| BindError { door, address, source })
}
