//! One transaction: everything that waited, applied one after the other.
//!
//! Each action sees what those before it did. One that is refused has changed nothing; only a fault of the disk
//! fails the group as a whole.

use std::sync::Arc;

use redb::{ReadableTable, ReadableTableMetadata, Table, WriteTransaction};

use crate::{Batch, Commit, CommitError, Entry, Event, Guard, Key, LeaseId, Op, Revision};

use super::log::Payload;
use super::owners::Owners;
use super::record::{self, Malformed, Numbers};
use super::tables::{BASE, HISTORY, KEYS, LOGGED, META};

/// Failed for all.
pub(super) type Failed = redb::Error;
/// Failed for all (outer), or for this one only (inner).
type Attempt<T> = Result<Result<T, CommitError>, Failed>;

/// How much history is kept.
#[derive(Debug, Clone, Copy)]
pub(super) struct HistoryBounds {
    pub(super) batches: u64,
    pub(super) bytes: u64,
}

/// Where the store stands between two groups.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Position {
    pub(super) head: Revision,
    /// The size of the history.
    pub(super) history_bytes: u64,
}

/// One write transaction, with the tables that nearly every commit touches open.
pub(super) struct Group<'t> {
    keys: Table<'t, &'static [u8], &'static [u8]>,
    history: Table<'t, u64, &'static [u8]>,
    owners: Owners<'t>,
    position: Position,
    batches: Vec<Arc<Batch>>,
    payload: Payload,
    has_changed: bool,
}

/// What a group did.
#[derive(Debug)]
pub(super) struct Outcome {
    /// New batches, in order.
    pub(super) batches: Vec<Arc<Batch>>,
    /// The same as the log holds it.
    pub(super) payload: Payload,
    /// Whether there is anything to make durable.
    pub(super) has_changed: bool,
    /// Where the store stands afterwards.
    pub(super) position: Position,
}

impl<'t> Group<'t> {
    /// Begins where the group before ended.
    pub(super) fn begin(txn: &'t WriteTransaction, position: Position) -> Result<Self, Failed> {
        Ok(Self {
            keys: txn.open_table(KEYS)?,
            history: txn.open_table(HISTORY)?,
            owners: Owners::new(txn),
            position,
            batches: Vec::new(),
            payload: Payload::default(),
            has_changed: false,
        })
    }

    /// Applies a checked commit, or nothing of it.
    pub(super) fn commit(&mut self, commit: Commit) -> Attempt<Revision> {
        if let Some(error) = self.refusal(&commit)? {
            return Ok(Err(error));
        }
        let revision = self.position.head.next();
        let mut events = Vec::with_capacity(commit.ops.len());
        for op in commit.ops {
            match op {
                Op::Put { key, value, lease } => {
                    let numbers = self.put(&key, &value, lease, revision)?;
                    let Numbers { created, modified, version, lease } = numbers;
                    events.push(Event::Put(Entry { key, value, created, modified, version, lease }));
                }
                Op::Delete { key } => {
                    if self.delete(&key)? {
                        events.push(Event::Delete { key });
                    }
                }
            }
        }
        if let Some(batch) = self.finish_batch(events)? {
            self.payload.batch(&batch.events);
        }
        Ok(Ok(self.position.head))
    }

    /// Makes a lease; its id must be new.
    pub(super) fn grant(&mut self, lease: LeaseId, ttl_ms: u64) -> Result<(), Failed> {
        self.has_changed = true;
        self.payload.grant(lease, ttl_ms);
        self.owners.grant(lease, ttl_ms)
    }

    /// Ends a lease and deletes its keys, in one batch. False if there is none.
    pub(super) fn revoke(&mut self, lease: LeaseId) -> Result<bool, Failed> {
        let Some(owned) = self.owners.end(lease)? else { return Ok(false) };
        self.has_changed = true;
        self.payload.revoke(lease);
        let mut events = Vec::with_capacity(owned.len());
        for key in owned {
            let existed = self.delete(&key)?;
            assert!(existed, "a lease owns only keys that exist");
            events.push(Event::Delete { key });
        }
        self.finish_batch(events)?;
        Ok(true)
    }

    /// Drops history below `before`.
    pub(super) fn compact(&mut self, before: Revision) -> Result<(), Failed> {
        while self.oldest()?.is_some_and(|oldest| oldest < before) {
            self.drop_oldest()?;
        }
        self.owners.txn().open_table(META)?.insert(BASE, self.position.head.get())?;
        self.payload.compact(before);
        self.has_changed = true;
        Ok(())
    }

    /// Keeps the history within its bounds, with some slack so that not every group has to drop.
    pub(super) fn trim(&mut self, bounds: HistoryBounds) -> Result<(), Failed> {
        const SLACK: u64 = 256;
        let mut len = self.history.len()?;
        if len <= bounds.batches + SLACK && self.position.history_bytes <= bounds.bytes {
            return Ok(());
        }
        // The last batch stays: it carries the revision.
        while len > 1 && (len > bounds.batches || self.position.history_bytes > bounds.bytes) {
            self.drop_oldest()?;
            len -= 1;
        }
        Ok(())
    }

    /// Everything up to this record of the log is in the tables.
    pub(super) fn mark_logged(&mut self, record: u64) -> Result<(), Failed> {
        self.owners.txn().open_table(META)?.insert(LOGGED, record)?;
        Ok(())
    }

    /// Whether there is anything to make durable.
    pub(super) const fn has_changed(&self) -> bool {
        self.has_changed
    }

    /// Where it has come to.
    pub(super) const fn position(&self) -> Position {
        self.position
    }

    /// The newest of its batches.
    pub(super) fn last_batch(&self) -> Option<&Batch> {
        self.batches.last().map(|batch| &**batch)
    }

    /// What was done; the transaction may then be committed.
    pub(super) fn end(self) -> Outcome {
        let Self { batches, payload, has_changed, position, .. } = self;
        Outcome { batches, payload, has_changed, position }
    }

    fn oldest(&self) -> Result<Option<Revision>, Failed> {
        Ok(self.history.first()?.map(|(revision, _)| Revision::new(revision.value())))
    }

    fn drop_oldest(&mut self) -> Result<(), Failed> {
        let dropped = self.history.pop_first()?;
        let bytes = dropped.map_or(0, |(_, record)| record.value().len());
        self.position.history_bytes -= u64::try_from(bytes).expect("lengths fit");
        Ok(())
    }

    /// Why a commit cannot apply, if so.
    fn refusal(&mut self, commit: &Commit) -> Result<Option<CommitError>, Failed> {
        for (index, guard) in commit.guards.iter().enumerate() {
            if !self.holds(guard)? {
                return Ok(Some(CommitError::Conflict { index }));
            }
        }
        for (index, op) in commit.ops.iter().enumerate() {
            if let Op::Put { lease: Some(lease), .. } = *op
                && !self.owners.lives(lease)?
            {
                return Ok(Some(CommitError::LeaseEnded { index, lease }));
            }
        }
        Ok(None)
    }

    fn holds(&self, guard: &Guard) -> Result<bool, Failed> {
        let found = self.numbers(guard.key())?;
        Ok(match guard {
            Guard::Absent(_) => found.is_none(),
            Guard::Present(_) => found.is_some(),
            Guard::Modified(_, revision) => found.is_some_and(|numbers| numbers.modified == *revision),
            Guard::Created(_, revision) => found.is_some_and(|numbers| numbers.created == *revision),
        })
    }

    fn numbers(&self, key: &Key) -> Result<Option<Numbers>, Failed> {
        let Some(record) = self.keys.get(&key[..])? else { return Ok(None) };
        Ok(Some(record::read_numbers(record.value()).map_err(|_| damaged(key))?.0))
    }

    fn put(
        &mut self,
        key: &Key,
        value: &[u8],
        lease: Option<LeaseId>,
        revision: Revision,
    ) -> Result<Numbers, Failed> {
        let old = self.numbers(key)?;
        let numbers = Numbers {
            created: old.map_or(revision, |old| old.created),
            modified: revision,
            version: old.map_or(0, |old| old.version) + 1,
            lease,
        };
        let mut place = self.keys.insert_reserve(&key[..], record::entry_len(value))?;
        record::write_entry(place.as_mut(), &numbers, value);
        drop(place);
        self.owners.pass(key, old.and_then(|old| old.lease), lease)?;
        Ok(numbers)
    }

    fn delete(&mut self, key: &Key) -> Result<bool, Failed> {
        let lease = match self.keys.remove(&key[..])? {
            None => return Ok(false),
            Some(record) => record::read_numbers(record.value()).map_err(|_| damaged(key))?.0.lease,
        };
        self.owners.pass(key, lease, None)?;
        Ok(true)
    }

    fn finish_batch(&mut self, events: Vec<Event>) -> Result<Option<Arc<Batch>>, Failed> {
        if events.is_empty() {
            return Ok(None);
        }
        self.position.head = self.position.head.next();
        let len = record::batch_len(&events);
        let mut place = self.history.insert_reserve(self.position.head.get(), len)?;
        record::write_batch(place.as_mut(), &events);
        drop(place);
        self.position.history_bytes += u64::try_from(len).expect("lengths fit");
        let batch = Arc::new(Batch { revision: self.position.head, events });
        self.batches.push(Arc::clone(&batch));
        self.has_changed = true;
        Ok(Some(batch))
    }
}

/// What a record that cannot be read means.
pub(super) fn damaged(key: &Key) -> Failed {
    Failed::Corrupted(format!("the record of key {key} is malformed"))
}

impl From<Malformed> for redb::Error {
    fn from(_: Malformed) -> Self {
        Self::Corrupted("a batch of the history is malformed".to_owned())
    }
}
