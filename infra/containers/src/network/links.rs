//! Bridges, veth pairs, addresses and routes.

use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::{AsRawFd as _, BorrowedFd};

use netlink_packet_route::address::{AddressAttribute, AddressMessage};
use netlink_packet_route::link::{
    InfoData, InfoKind, InfoVeth, LinkAttribute, LinkFlags, LinkInfo, LinkMessage,
};
use netlink_packet_route::route::{
    RouteAddress, RouteAttribute, RouteHeader, RouteMessage, RouteProtocol, RouteScope, RouteType,
};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};

use super::netlink::Netlink;
use super::subnet::Subnet;

/// The name of a task's own interface, as everywhere.
pub(crate) const INNER_NAME: &str = "eth0";

/// A network that the machine routes already, and through what.
#[derive(Debug, Clone)]
pub(crate) struct Route {
    pub(crate) subnet: Subnet,
    pub(crate) interface: Option<u32>,
}

impl Netlink {
    /// The index of an interface, if it is there.
    pub(crate) fn find_link(&mut self, name: &str) -> io::Result<Option<u32>> {
        let message = link(name);
        match self.get(RouteNetlinkMessage::GetLink(message)) {
            Ok(Some(RouteNetlinkMessage::NewLink(found))) => Ok(Some(found.header.index)),
            Ok(_) => Ok(None),
            Err(error) if is_no_such_device(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }

    pub(crate) fn add_bridge(&mut self, name: &str, mac: [u8; 6], mtu: u32) -> io::Result<()> {
        let mut message = link(name);
        raise(&mut message);
        message.attributes.push(LinkAttribute::Address(mac.to_vec()));
        message.attributes.push(LinkAttribute::Mtu(mtu));
        message.attributes.push(LinkAttribute::LinkInfo(vec![LinkInfo::Kind(InfoKind::Bridge)]));
        self.create(RouteNetlinkMessage::NewLink(message))
    }

    /// A pair of which `name`, up, is a port of `bridge`, and the other end, still down, is inside `namespace`: the
    /// kernel cannot raise that one before both are joined.
    pub(crate) fn add_veth(
        &mut self,
        name: &str,
        bridge: u32,
        namespace: BorrowedFd<'_>,
        mtu: u32,
    ) -> io::Result<()> {
        let mut inner = link(INNER_NAME);
        inner.attributes.push(LinkAttribute::Mtu(mtu));
        inner.attributes.push(LinkAttribute::NetNsFd(namespace.as_raw_fd()));
        let mut message = link(name);
        raise(&mut message);
        message.attributes.push(LinkAttribute::Mtu(mtu));
        message.attributes.push(LinkAttribute::Controller(bridge));
        message.attributes.push(LinkAttribute::LinkInfo(vec![
            LinkInfo::Kind(InfoKind::Veth),
            LinkInfo::Data(InfoData::Veth(InfoVeth::Peer(inner))),
        ]));
        self.create(RouteNetlinkMessage::NewLink(message))
    }

    pub(crate) fn set_up(&mut self, index: u32) -> io::Result<()> {
        let mut message = LinkMessage::default();
        message.header.index = index;
        raise(&mut message);
        self.change(RouteNetlinkMessage::SetLink(message))
    }

    /// Removes an interface; none is fine.
    pub(crate) fn remove_link(&mut self, name: &str) -> io::Result<()> {
        match self.change(RouteNetlinkMessage::DelLink(link(name))) {
            Err(error) if !is_no_such_device(&error) => Err(error),
            _ => Ok(()),
        }
    }

    /// The names of all interfaces.
    pub(crate) fn link_names(&mut self) -> io::Result<Vec<String>> {
        let answers = self.list(RouteNetlinkMessage::GetLink(LinkMessage::default()))?;
        let name = |attribute: LinkAttribute| match attribute {
            LinkAttribute::IfName(name) => Some(name),
            _ => None,
        };
        Ok(answers
            .into_iter()
            .filter_map(|answer| match answer {
                RouteNetlinkMessage::NewLink(link) => link.attributes.into_iter().find_map(name),
                _ => None,
            })
            .collect())
    }

    /// Gives an interface an address; the same again is fine.
    pub(crate) fn add_address(&mut self, index: u32, address: Ipv4Addr, prefix: u8) -> io::Result<()> {
        let mut message = AddressMessage::default();
        message.header.family = AddressFamily::Inet;
        message.header.prefix_len = prefix;
        message.header.index = index;
        let ip = IpAddr::V4(address);
        message.attributes = vec![AddressAttribute::Local(ip), AddressAttribute::Address(ip)];
        match self.create(RouteNetlinkMessage::NewAddress(message)) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            other => other,
        }
    }

    pub(crate) fn add_default_route(&mut self, gateway: Ipv4Addr) -> io::Result<()> {
        let mut message = RouteMessage::default();
        message.header.address_family = AddressFamily::Inet;
        message.header.table = RouteHeader::RT_TABLE_MAIN;
        message.header.protocol = RouteProtocol::Static;
        message.header.scope = RouteScope::Universe;
        message.header.kind = RouteType::Unicast;
        message.attributes.push(RouteAttribute::Gateway(RouteAddress::Inet(gateway)));
        self.create(RouteNetlinkMessage::NewRoute(message))
    }

    /// Every IPv4 network that is routed, without default routes.
    pub(crate) fn routes(&mut self) -> io::Result<Vec<Route>> {
        Ok(self.route_messages()?.iter().filter_map(route).collect())
    }

    /// The interface of the default route, if there is one.
    pub(crate) fn uplink(&mut self) -> io::Result<Option<u32>> {
        let default = |message: &RouteMessage| {
            if message.header.destination_prefix_length == 0 { out_interface(message) } else { None }
        };
        Ok(self.route_messages()?.iter().find_map(default))
    }

    /// The MTU of an interface.
    pub(crate) fn mtu(&mut self, index: u32) -> io::Result<Option<u32>> {
        let mut message = LinkMessage::default();
        message.header.index = index;
        let Some(RouteNetlinkMessage::NewLink(found)) = self.get(RouteNetlinkMessage::GetLink(message))?
        else {
            return Ok(None);
        };
        Ok(found.attributes.iter().find_map(|attribute| match attribute {
            LinkAttribute::Mtu(mtu) => Some(*mtu),
            _ => None,
        }))
    }

    fn route_messages(&mut self) -> io::Result<Vec<RouteMessage>> {
        let mut message = RouteMessage::default();
        message.header.address_family = AddressFamily::Inet;
        let answers = self.list(RouteNetlinkMessage::GetRoute(message))?;
        Ok(answers
            .into_iter()
            .filter_map(|answer| match answer {
                RouteNetlinkMessage::NewRoute(route) => Some(route),
                _ => None,
            })
            .collect())
    }
}

fn link(name: &str) -> LinkMessage {
    let mut message = LinkMessage::default();
    message.attributes.push(LinkAttribute::IfName(name.to_owned()));
    message
}

fn raise(message: &mut LinkMessage) {
    message.header.flags |= LinkFlags::Up;
    message.header.change_mask |= LinkFlags::Up;
}

fn is_no_such_device(error: &io::Error) -> bool {
    error.raw_os_error() == Some(rustix::io::Errno::NODEV.raw_os_error())
}

fn out_interface(message: &RouteMessage) -> Option<u32> {
    message.attributes.iter().find_map(|attribute| match attribute {
        RouteAttribute::Oif(index) => Some(*index),
        _ => None,
    })
}

fn route(message: &RouteMessage) -> Option<Route> {
    let destination = message.attributes.iter().find_map(|attribute| match attribute {
        RouteAttribute::Destination(RouteAddress::Inet(address)) => Some(*address),
        _ => None,
    })?;
    let subnet = Subnet::new(destination, message.header.destination_prefix_length);
    // Multicast and broadcast entries say nothing about who uses a range.
    let is_unicast = matches!(message.header.kind, RouteType::Unicast | RouteType::Local);
    is_unicast.then(|| Route { subnet, interface: out_interface(message) })
}
