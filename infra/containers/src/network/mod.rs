//! The cloud's own network on this machine: one bridge, one namespace a task, published ports.
//!
//! ```text
//!   task A (netns) eth0 ── veth ──┐
//!   task B (netns) eth0 ── veth ──┴─ bridge kg-… ── routed, masqueraded ── the machine's uplinks
//!                                       │
//!              nftables table kogge_…: published ports in, nothing else to the machine itself
//! ```
//!
//! Owns the bridge, the subnet, addresses, namespaces, veth pairs and one nftables table, all named after the
//! cloud, so that several clouds live side by side. Links and published ports are set up by netlink, rules by the
//! `nft` program: one transaction a change, and changes that wait at the same time share one.
//!
//! What tasks may reach: each other, published ports, the world. What they may not: the machine's own listeners
//! (the control plane's doors among them) except ports opened by [`Network::open_ports`], its loopback
//! addresses, link-local addresses (metadata services), and IPv6 over the bridge.
//!
//! What survives: each attachment is written to the runtime directory before anything is made, so a new process
//! finds all of them again; [`Network::sweep`] removes those whose task is gone. A reboot clears both.
//!
//! Start reading at [`Network`]; the rules stand in [`ruleset`].

mod addresses;
mod attachment;
mod bridge;
mod bridge_network;
mod elements;
mod error;
mod firewall;
mod host_settings;
mod links;
mod names;
mod namespace;
mod netlink;
mod nft;
mod ruleset;
mod state;
mod subnet;

pub use attachment::{Attachment, PublishedPort};
pub use bridge_network::{Network, NetworkConfig};
pub use error::NetworkError;
pub use subnet::Subnet;
