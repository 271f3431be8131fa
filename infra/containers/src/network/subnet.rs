//! A range of IPv4 addresses, and finding one that is free on this machine.

use std::fmt;
use std::net::Ipv4Addr;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::error::NetworkError;
use super::names::Names;

/// Candidates are the /20 of 10.64.0.0/10: 4,093 tasks a machine, and away from what people use most.
const CANDIDATE_BASE: u32 = 0x0a40_0000;
const CANDIDATE_PREFIX: u8 = 20;
const CANDIDATES: u32 = 1024;

/// A range of addresses. The first usable one is the bridge's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Subnet {
    base: u32,
    prefix: u8,
}

impl Subnet {
    /// From any address in it and its prefix length.
    pub(crate) fn new(address: Ipv4Addr, prefix: u8) -> Self {
        let prefix = prefix.min(32);
        Self { base: u32::from(address) & mask(prefix), prefix }
    }

    /// The length of the common part, in bits.
    #[must_use]
    pub const fn prefix(&self) -> u8 {
        self.prefix
    }

    /// The bridge's own address.
    #[must_use]
    pub const fn gateway(&self) -> Ipv4Addr {
        Ipv4Addr::from_bits(self.base + 1)
    }

    /// Whether the address is in the range.
    #[must_use]
    pub fn contains(&self, address: Ipv4Addr) -> bool {
        u32::from(address) & mask(self.prefix) == self.base
    }

    /// Whether the two share an address.
    #[must_use]
    pub fn overlaps(&self, other: &Self) -> bool {
        let shorter = mask(self.prefix.min(other.prefix));
        self.base & shorter == other.base & shorter
    }

    /// The `index`th address after the base.
    pub(crate) fn address(&self, index: u32) -> Ipv4Addr {
        Ipv4Addr::from_bits(self.base + index)
    }

    pub(crate) fn index_of(&self, address: Ipv4Addr) -> u32 {
        u32::from(address) - self.base
    }

    /// Indexes that tasks may have: not the base, the gateway or the broadcast address.
    pub(crate) fn indexes(&self) -> std::ops::Range<u32> {
        2..(1 << (32 - u32::from(self.prefix))) - 1
    }

    /// The first candidate that overlaps with none of `taken`, beginning at a place of the cloud's own.
    pub(crate) fn choose(names: &Names, taken: &[Self]) -> Result<Self, NetworkError> {
        let first = names.first_candidate(CANDIDATES);
        (0..CANDIDATES)
            .map(|step| {
                let index = (first + step) % CANDIDATES;
                Self { base: CANDIDATE_BASE + (index << (32 - CANDIDATE_PREFIX)), prefix: CANDIDATE_PREFIX }
            })
            .find(|candidate| !taken.iter().any(|other| other.overlaps(candidate)))
            .ok_or(NetworkError::NoSubnet)
    }
}

const fn mask(prefix: u8) -> u32 {
    if prefix == 0 { 0 } else { u32::MAX << (32 - prefix) }
}

impl fmt::Display for Subnet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", Ipv4Addr::from_bits(self.base), self.prefix)
    }
}

impl FromStr for Subnet {
    type Err = NetworkError;

    fn from_str(text: &str) -> Result<Self, NetworkError> {
        let bad = || NetworkError::BadSubnet { text: text.to_owned() };
        let (address, prefix) = text.split_once('/').ok_or_else(bad)?;
        let (address, prefix): (Ipv4Addr, u8) =
            (address.parse().map_err(|_| bad())?, prefix.parse().map_err(|_| bad())?);
        if (8..=28).contains(&prefix) { Ok(Self::new(address, prefix)) } else { Err(bad()) }
    }
}

impl TryFrom<String> for Subnet {
    type Error = NetworkError;

    fn try_from(text: String) -> Result<Self, NetworkError> {
        text.parse()
    }
}

impl From<Subnet> for String {
    fn from(subnet: Subnet) -> Self {
        subnet.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_free_subnet_is_found_beside_taken_ones() {
        let names = Names::new("x");
        let first = Subnet::choose(&names, &[]).unwrap();
        let second = Subnet::choose(&names, &[first]).unwrap();
        assert!(!first.overlaps(&second));
        assert_eq!(Subnet::choose(&names, &[]).unwrap(), first, "the same cloud begins at the same place");
        let all: Subnet = "10.0.0.0/8".parse().unwrap();
        assert!(matches!(Subnet::choose(&names, &[all]), Err(NetworkError::NoSubnet)));
    }

    #[test]
    fn ranges_know_their_edges() {
        let subnet: Subnet = "10.64.16.7/28".parse().unwrap();
        assert_eq!(subnet.to_string(), "10.64.16.0/28");
        assert_eq!(subnet.gateway(), Ipv4Addr::new(10, 64, 16, 1));
        let last = subnet.indexes().next_back().unwrap();
        assert_eq!((subnet.indexes().start, subnet.address(last)), (2, Ipv4Addr::new(10, 64, 16, 14)));
        assert!(subnet.contains(subnet.address(3)) && !subnet.contains(Ipv4Addr::new(10, 64, 16, 16)));
        for text in ["", "10.0.0.0", "10.0.0.0/29", "10.0.0.0/7", "10.0.0/16", "::/16"] {
            assert!(text.parse::<Subnet>().is_err(), "{text}");
        }
    }
}
