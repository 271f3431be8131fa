//! Names of what belongs to one cloud: short, and different for each cloud on a machine.

use std::net::Ipv4Addr;

use kogge_model::digest::Digest;

use super::subnet::Subnet;

/// What the kernel allows for an interface.
#[cfg(test)]
const MAX_INTERFACE_BYTES: usize = 15;

/// The names of one cloud.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Names {
    /// The bridge.
    pub(crate) bridge: String,
    /// The nftables table.
    pub(crate) table: String,
    veth_prefix: String,
    digest: Digest,
}

impl Names {
    pub(crate) fn new(cloud_tag: &str) -> Self {
        let digest = Digest::of(cloud_tag.as_bytes());
        let hex = digest.hex();
        Self {
            bridge: format!("kg-{}", &hex[..8]),
            table: format!("kogge_{}", &hex[..8]),
            veth_prefix: format!("kv{}-", &hex[..6]),
            digest,
        }
    }

    /// The host's end of the pair for `address`: unique as addresses are.
    pub(crate) fn veth(&self, subnet: &Subnet, address: Ipv4Addr) -> String {
        format!("{}{:x}", self.veth_prefix, subnet.index_of(address))
    }

    pub(crate) fn is_veth(&self, name: &str) -> bool {
        name.starts_with(&self.veth_prefix)
    }

    /// A fixed address, as the kernel would change a bridge's with each new port: locally administered, unicast.
    pub(crate) fn bridge_mac(&self) -> [u8; 6] {
        let bytes = self.digest.as_bytes();
        [0x02, bytes[8], bytes[9], bytes[10], bytes[11], bytes[12]]
    }

    /// Where among `count` candidates the search for a free subnet begins.
    pub(crate) fn first_candidate(&self, count: u32) -> u32 {
        let bytes = self.digest.as_bytes();
        u32::from_be_bytes([bytes[16], bytes[17], bytes[18], bytes[19]]) % count
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_fit_the_kernel_and_differ_between_clouds() {
        let (a, b) = (Names::new("a"), Names::new("b"));
        assert_ne!((&a.bridge, &a.table), (&b.bridge, &b.table));
        let subnet: Subnet = "10.0.0.0/8".parse().unwrap();
        let longest = a.veth(&subnet, Ipv4Addr::new(10, 255, 255, 254));
        assert!(longest.len() <= MAX_INTERFACE_BYTES && a.bridge.len() <= MAX_INTERFACE_BYTES, "{longest}");
        assert!(a.is_veth(&longest) && !b.is_veth(&longest));
        assert_eq!(a.bridge_mac()[0] & 3, 2);
    }
}
