//! Which address of this machine others reach it at.

use std::net::{IpAddr, SocketAddr, UdpSocket};

use kogge_link::ServerAddress;
use tokio::net::lookup_host;

/// The address from which this machine reaches one of `servers`: no packet is sent to find out.
pub(super) async fn towards(servers: &[ServerAddress]) -> Option<IpAddr> {
    for server in servers {
        let Ok(found) = lookup_host((server.host(), server.port())).await else { continue };
        for address in found {
            if let Some(own) = route(address) {
                return Some(own);
            }
        }
    }
    None
}

fn route(to: SocketAddr) -> Option<IpAddr> {
    let any: SocketAddr = if to.is_ipv4() { ([0; 4], 0).into() } else { ([0_u16; 8], 0).into() };
    let socket = UdpSocket::bind(any).ok()?;
    // Connecting a datagram socket only looks up the route (udp(7)).
    socket.connect(to).ok()?;
    socket.local_addr().ok().map(|own| own.ip())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn loopback_is_reached_from_loopback() {
        let server: ServerAddress = "127.0.0.1:7401".parse().unwrap();
        assert_eq!(towards(&[server]).await, Some(IpAddr::from([127, 0, 0, 1])));
    }
}
