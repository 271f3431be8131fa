//! Published ports as set elements, put into the table without a program.
//!
//! Starting `nft` costs several milliseconds and more the more rules a machine has; adding an element is one
//! short netlink message (kernel, `uapi/linux/netfilter/nf_tables.h`, `NFT_MSG_NEWSETELEM`). Only elements are
//! changed this way: their encoding is small and fixed. Whatever fails here is tried again by `nft`, which also
//! has the words to say why.

use std::io;
use std::time::Duration;

use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_NETFILTER};
use rustix::net::sockopt::{Timeout, set_socket_timeout};

use super::attachment::{Attachment, PublishedPort};
use crate::image::Protocol;

/// The kernel answers at once or not at all.
const DEADLINE: Duration = Duration::from_secs(2);

const BATCH_BEGIN: u16 = 0x10;
const BATCH_END: u16 = 0x11;
const NFTABLES: u16 = 10;
const NEW_ELEMENT: u16 = NFTABLES << 8 | 12;
const DELETE_ELEMENT: u16 = NFTABLES << 8 | 14;
const NLMSG_ERROR: u16 = 2;
const REQUEST: u16 = 1;
const ACK: u16 = 4;
const CREATE: u16 = 0x400;
const FAMILY_INET: u8 = 1;
const FAMILY_UNSPECIFIED: u8 = 0;
const NESTED: u16 = 0x8000;

/// One change of a map.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Element {
    map: &'static str,
    key: Vec<u8>,
    /// Absent when the element is taken out.
    target: Option<Vec<u8>>,
}

impl Element {
    /// Everything that publishes `attachment`.
    pub(crate) fn publish(attachment: &Attachment) -> Vec<Self> {
        Self::of(attachment, true)
    }

    /// Everything that takes it back.
    pub(crate) fn unpublish(attachment: &Attachment) -> Vec<Self> {
        Self::of(attachment, false)
    }

    fn of(attachment: &Attachment, with_target: bool) -> Vec<Self> {
        let element = |port: &PublishedPort| {
            let mut target = attachment.address.octets().to_vec();
            target.extend(padded(&port.container_port.to_be_bytes()));
            let (map, key) = key(port);
            Self { map, key, target: with_target.then_some(target) }
        };
        attachment.ports.iter().map(element).collect()
    }
}

/// Parts of a concatenation each fill whole words of four bytes.
fn key(port: &PublishedPort) -> (&'static str, Vec<u8>) {
    let protocol = match port.protocol {
        Protocol::Tcp => 6,
        Protocol::Udp => 17,
    };
    let mut key = port.host_address.map(|address| address.octets().to_vec()).unwrap_or_default();
    key.extend(padded(&[protocol]));
    key.extend(padded(&port.host_port.to_be_bytes()));
    (if port.host_address.is_some() { "bound_ports" } else { "ports" }, key)
}

fn padded(bytes: &[u8]) -> [u8; 4] {
    let mut word = [0; 4];
    word[..bytes.len()].copy_from_slice(bytes);
    word
}

/// Applies all of `elements` or none. Blocking, but short.
pub(crate) fn apply(table: &str, elements: &[Element]) -> io::Result<()> {
    let mut socket = Socket::new(NETLINK_NETFILTER)?;
    socket.bind_auto()?;
    socket.connect(&SocketAddr::new(0, 0))?;
    set_socket_timeout(&socket, Timeout::Recv, Some(DEADLINE))?;
    let mut batch = Vec::new();
    message(&mut batch, BATCH_BEGIN, REQUEST, 0, FAMILY_UNSPECIFIED, NFTABLES, &[]);
    for (element, sequence) in elements.iter().zip(1..) {
        let (kind, flags) = match element.target {
            Some(_) => (NEW_ELEMENT, REQUEST | ACK | CREATE),
            None => (DELETE_ELEMENT, REQUEST | ACK),
        };
        message(&mut batch, kind, flags, sequence, FAMILY_INET, 0, &element_attributes(table, element));
    }
    message(&mut batch, BATCH_END, REQUEST, 0, FAMILY_UNSPECIFIED, NFTABLES, &[]);
    socket.send(&batch, 0)?;
    let mut answers = 0;
    while answers < elements.len() {
        let (bytes, _) = socket.recv_from_full()?;
        answers += acknowledged(&bytes)?;
    }
    Ok(())
}

/// Counts the acknowledgements in one datagram; the first refusal is the error.
fn acknowledged(bytes: &[u8]) -> io::Result<usize> {
    let mut count = 0;
    let mut rest = bytes;
    while let Some((header, body)) = rest.split_at_checked(16) {
        let length = u32::from_ne_bytes([header[0], header[1], header[2], header[3]]);
        let kind = u16::from_ne_bytes([header[4], header[5]]);
        if let (NLMSG_ERROR, Some(code)) = (kind, body.first_chunk::<4>()) {
            match i32::from_ne_bytes(*code) {
                0 => count += 1,
                code => return Err(io::Error::from_raw_os_error(-code)),
            }
        }
        let next = usize::try_from(length).unwrap_or(usize::MAX).next_multiple_of(4).max(16);
        rest = rest.get(next..).unwrap_or_default();
    }
    Ok(count)
}

/// `NFTA_SET_ELEM_LIST_TABLE`, `_SET` and `_ELEMENTS`.
fn element_attributes(table: &str, element: &Element) -> Vec<u8> {
    let mut body = attribute(1, &zero_ended(table));
    body.extend(attribute(2, &zero_ended(element.map)));
    // NFTA_SET_ELEM_KEY and NFTA_SET_ELEM_DATA, each with an NFTA_DATA_VALUE.
    let mut parts = attribute(1 | NESTED, &attribute(1, &element.key));
    if let Some(target) = &element.target {
        parts.extend(attribute(2 | NESTED, &attribute(1, target)));
    }
    body.extend(attribute(3 | NESTED, &attribute(1 | NESTED, &parts)));
    body
}

fn zero_ended(text: &str) -> Vec<u8> {
    let mut bytes = text.as_bytes().to_vec();
    bytes.push(0);
    bytes
}

/// Length and kind in the machine's order, then the value, filled up to whole words (`man 7 netlink`).
fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
    let length = u16::try_from(value.len() + 4).expect("names and keys are short");
    let mut bytes = length.to_ne_bytes().to_vec();
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(value);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

/// A netlink header, an nfnetlink header (family, version 0, resource in network order), and the attributes.
fn message(
    batch: &mut Vec<u8>,
    kind: u16,
    flags: u16,
    sequence: u32,
    family: u8,
    resource: u16,
    body: &[u8],
) {
    let length = u32::try_from(20 + body.len()).expect("one element is short");
    batch.extend(length.to_ne_bytes());
    batch.extend(kind.to_ne_bytes());
    batch.extend(flags.to_ne_bytes());
    batch.extend(sequence.to_ne_bytes());
    batch.extend(0u32.to_ne_bytes());
    batch.extend([family, 0]);
    batch.extend(resource.to_be_bytes());
    batch.extend(body);
}
