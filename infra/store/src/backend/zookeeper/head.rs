//! Where the store stands.

use crate::Revision;

/// The data of the head node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Head {
    /// The last log record; 0 before the first.
    pub(super) index: u64,
    /// The last batch.
    pub(super) revision: Revision,
    /// Leases granted so far: the last one's number.
    pub(super) leases: u64,
    /// The first log record that is kept.
    pub(super) first: u64,
    /// Size of all records that ever were.
    pub(super) logged: u64,
    /// Where a reader begins; without one, with the first record.
    pub(super) snapshot: Option<SnapshotAt>,
}

/// A whole snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SnapshotAt {
    pub(super) name: u128,
    /// It holds what the log held up to here.
    pub(super) index: u64,
    pub(super) revision: Revision,
    /// Size of all records up to there.
    pub(super) logged: u64,
    pub(super) parts: u32,
    /// Size of the parts.
    pub(super) bytes: u64,
}

impl Head {
    /// Of a new store.
    pub(super) const EMPTY: Self =
        Self { index: 0, revision: Revision::ZERO, leases: 0, first: 1, logged: 0, snapshot: None };

    /// Records that a reader must apply after the snapshot.
    pub(super) fn records(&self) -> u64 {
        self.index - self.snapshot.map_or(0, |at| at.index)
    }

    /// Their size.
    pub(super) fn record_bytes(&self) -> u64 {
        self.logged - self.snapshot.map_or(0, |at| at.logged)
    }
}
