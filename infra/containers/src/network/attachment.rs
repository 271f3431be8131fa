//! One task on the network.

use std::fmt;
use std::net::Ipv4Addr;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::image::Protocol;

/// A port of this machine that leads to a port of a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct PublishedPort {
    /// Only at this address of the machine; without, at all of them.
    pub host_address: Option<Ipv4Addr>,
    /// The machine's port.
    pub host_port: u16,
    /// The task's port.
    pub container_port: u16,
    /// TCP or UDP.
    pub protocol: Protocol,
}

impl PublishedPort {
    /// Whether both want the same place on the machine.
    #[must_use]
    pub fn collides(&self, other: &Self) -> bool {
        let same_address = match (self.host_address, other.host_address) {
            (Some(own), Some(theirs)) => own == theirs,
            _ => true,
        };
        same_address && self.host_port == other.host_port && self.protocol == other.protocol
    }
}

impl fmt::Display for PublishedPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(address) = self.host_address {
            write!(f, "{address}:")?;
        }
        write!(f, "{}/{}", self.host_port, self.protocol)
    }
}

/// What a task got, kept in the runtime directory as long as it has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attachment {
    /// Whose.
    pub task: String,
    /// Its own address.
    pub address: Ipv4Addr,
    /// The way out.
    pub gateway: Ipv4Addr,
    /// Its network namespace, for the bundle.
    pub namespace: PathBuf,
    /// The machine's end of its link.
    pub host_interface: String,
    /// What leads to it.
    pub ports: Vec<PublishedPort>,
}
