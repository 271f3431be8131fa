//! The protocol's versions: each program speaks its own and the one before.

use std::fmt;

/// The versions one side speaks, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Versions {
    /// The oldest.
    pub oldest: u32,
    /// The newest.
    pub newest: u32,
}

impl Versions {
    /// What this program speaks. The next protocol makes it `1..=2`, the one after `2..=3`.
    pub const OURS: Self = Self { oldest: 1, newest: 1 };

    /// The newest version both sides speak, none if there is none.
    #[must_use]
    pub fn common(self, other: Self) -> Option<u32> {
        let newest = self.newest.min(other.newest);
        (newest >= self.oldest && newest >= other.oldest).then_some(newest)
    }
}

impl Default for Versions {
    fn default() -> Self {
        Self::OURS
    }
}

impl fmt::Display for Versions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { oldest, newest } = self;
        if oldest == newest { newest.fmt(f) } else { write!(f, "{oldest} to {newest}") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_agree_on_the_newest_both_speak_and_strangers_on_none() {
        let versions = |oldest, newest| Versions { oldest, newest };
        for (ours, theirs, common) in [
            (versions(2, 3), versions(2, 3), Some(3)),
            (versions(2, 3), versions(1, 2), Some(2)),
            (versions(2, 3), versions(3, 4), Some(3)),
            (versions(2, 3), versions(4, 5), None),
            (versions(1, 1), versions(1, 2), Some(1)),
            (versions(2, 1), versions(1, 2), None),
        ] {
            assert_eq!(ours.common(theirs), common, "{ours} and {theirs}");
            assert_eq!(theirs.common(ours), common, "{theirs} and {ours}");
        }
    }
}
