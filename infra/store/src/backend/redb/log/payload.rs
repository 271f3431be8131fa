//! What a record says: what a group did, enough to do it again. All numbers little-endian.
//!
//! ```text
//! payload change*
//! change  1:1 len:4 batch         as in the history ([`super::super::record`])
//!         2:1 lease:8 ttl_ms:8    granted
//!         3:1 lease:8             ended, with the keys it owned
//!         4:1 before:8            history dropped
//! ```

use crate::{Commit, Event, LeaseId, Revision};

use super::super::record::{EVENT_BYTES, In, Malformed, batch_len, write_batch};

const BATCH: u8 = 1;
const GRANT: u8 = 2;
const REVOKE: u8 = 3;
const COMPACT: u8 = 4;

/// The most bytes that the effects of a commit take in a payload; all other changes take less than any commit.
pub(in super::super) fn commit_bytes(commit: &Commit) -> usize {
    5 + commit.bytes() + commit.ops.len() * EVENT_BYTES
}

/// What the end of a lease takes in a payload.
pub(in super::super) const END_BYTES: usize = 9;

/// One step of a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Change<'a> {
    /// A commit that had an effect: the record of its batch.
    Batch(&'a [u8]),
    /// A new lease.
    Grant { lease: LeaseId, ttl_ms: u64 },
    /// The end of one.
    Revoke(LeaseId),
    /// History below this was dropped.
    Compact(Revision),
}

/// The changes of a group, one after the other.
#[derive(Debug, Default)]
pub(in super::super) struct Payload(Vec<u8>);

impl Payload {
    /// As it goes into the record.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// A commit had these effects.
    pub(in super::super) fn batch(&mut self, events: &[Event]) {
        let len = batch_len(events);
        self.0.push(BATCH);
        self.0.extend_from_slice(&u32::try_from(len).expect("commits are at most 1 MB").to_le_bytes());
        let begin = self.0.len();
        self.0.resize(begin + len, 0);
        write_batch(&mut self.0[begin..], events);
    }

    /// A lease was made.
    pub(in super::super) fn grant(&mut self, lease: LeaseId, ttl_ms: u64) {
        self.numbers(GRANT, &[lease.get(), ttl_ms]);
    }

    /// A lease ended.
    pub(in super::super) fn revoke(&mut self, lease: LeaseId) {
        self.numbers(REVOKE, &[lease.get()]);
    }

    /// History was dropped.
    pub(in super::super) fn compact(&mut self, before: Revision) {
        self.numbers(COMPACT, &[before.get()]);
    }

    fn numbers(&mut self, tag: u8, numbers: &[u64]) {
        self.0.push(tag);
        numbers.iter().for_each(|number| self.0.extend_from_slice(&number.to_le_bytes()));
    }
}

impl<'a> Change<'a> {
    /// The changes of a payload, in order.
    pub(in super::super) fn all(payload: &'a [u8]) -> Result<Vec<Self>, Malformed> {
        let (mut from, mut changes) = (In(payload), Vec::new());
        while !from.0.is_empty() {
            changes.push(Self::next(&mut from)?);
        }
        Ok(changes)
    }

    fn next(from: &mut In<'a>) -> Result<Self, Malformed> {
        match from.array()? {
            [BATCH] => {
                let len = u32::from_le_bytes(from.array()?);
                Ok(Self::Batch(from.bytes(usize::try_from(len).map_err(|_| Malformed)?)?))
            }
            [GRANT] => Ok(Self::Grant { lease: LeaseId::new(from.number()?), ttl_ms: from.number()? }),
            [REVOKE] => Ok(Self::Revoke(LeaseId::new(from.number()?))),
            [COMPACT] => Ok(Self::Compact(Revision::new(from.number()?))),
            _ => Err(Malformed),
        }
    }
}
