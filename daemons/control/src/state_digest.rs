//! What a copy of the state contains, in one number.
//!
//! The number is a sum over the entries, modulo 2^128: it follows each event without a look at the rest, and does not
//! tell in which order the entries came. It finds mistakes, not forgers: whoever writes to the engine needs none.

use std::fmt;

use kogge_model::digest::Digest;
use kogge_store::{Entry, LeaseId};

/// Which formula this is: digests of different ones are never compared. A new formula gets a new number.
pub(crate) const FORMAT: u32 = 1;

/// The sum over all entries; zero when there are none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct StateDigest(u128);

impl StateDigest {
    /// `entry` came.
    pub(crate) fn add(&mut self, entry: &Entry) {
        self.0 = self.0.wrapping_add(summand(entry));
    }

    /// `entry` went, as it was just before: had it changed in between, the sum stays wrong for ever and says so.
    pub(crate) fn remove(&mut self, entry: &Entry) {
        self.0 = self.0.wrapping_sub(summand(entry));
    }
}

/// All of an entry that is equal on every server, which is all of it: engines differ in how they count, servers of
/// one engine do not.
fn summand(entry: &Entry) -> u128 {
    let key_length = u64::try_from(entry.key.len()).expect("lengths fit");
    let lease = entry.lease.map_or(0, LeaseId::get);
    let numbers = [key_length, entry.created.get(), entry.modified.get(), entry.version, lease];
    let mut bytes = Vec::with_capacity(numbers.len() * 8 + entry.key.len() + entry.value.len());
    numbers.iter().for_each(|number| bytes.extend_from_slice(&number.to_le_bytes()));
    bytes.extend_from_slice(&entry.key);
    bytes.extend_from_slice(&entry.value);
    let half = Digest::of(&bytes).as_bytes().first_chunk().copied();
    u128::from_le_bytes(half.expect("a SHA-256 digest has 32 bytes"))
}

impl fmt::Display for StateDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}
