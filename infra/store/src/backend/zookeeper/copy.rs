//! Everything that is stored, as far as this process has followed the log.
//!
//! A log record is a list of [`Change`]s. Every process applies the same records in the same order, so all copies
//! at one index are equal.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::Arc;

use crate::{Batch, Entry, Event, Key, LeaseId, Lookup, Op, Page, Range, Revision};

use super::head::SnapshotAt;
use super::history::{Bounds, History};
use super::record::{Change, Holder, Item, record_len};

/// A lease that has not ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Living {
    pub(super) holder: Holder,
    pub(super) keys: BTreeSet<Key>,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Copy {
    /// The last record applied.
    pub(super) index: u64,
    pub(super) revision: Revision,
    pub(super) history: History,
    keys: BTreeMap<Key, Entry>,
    leases: BTreeMap<LeaseId, Living>,
    /// The size of keys and values.
    bytes: u64,
    /// Size of all records up to the index.
    pub(super) logged: u64,
}

/// What a record did besides batches.
#[derive(Debug, Default)]
pub(super) struct Applied {
    /// Leases granted or ended.
    pub(super) has_leases: bool,
    pub(super) ended: Vec<LeaseId>,
}

impl Copy {
    /// Of a store whose log is still whole.
    pub(super) fn empty(bounds: Bounds) -> Self {
        Self {
            index: 0,
            revision: Revision::ZERO,
            history: History::new(Revision::ZERO.next(), bounds),
            keys: BTreeMap::new(),
            leases: BTreeMap::new(),
            bytes: 0,
            logged: 0,
        }
    }

    /// Of a store at a snapshot, before its items are added.
    pub(super) fn at(snapshot: &SnapshotAt, bounds: Bounds) -> Self {
        let history = History::new(snapshot.revision.next(), bounds);
        let SnapshotAt { index, revision, logged, .. } = *snapshot;
        Self { index, revision, logged, history, ..Self::empty(bounds) }
    }

    /// Adds what a snapshot holds; leases come before their keys.
    pub(super) fn add(&mut self, item: Item) {
        match item {
            Item::Lease(lease, holder) => {
                self.leases.insert(lease, Living { holder, keys: BTreeSet::new() });
            }
            Item::Entry(entry) => self.set(entry),
        }
    }

    /// Applies the next record.
    pub(super) fn apply(&mut self, changes: &[Change]) -> Applied {
        let mut applied = Applied::default();
        for change in changes {
            match change {
                Change::Batch(ops) => self.batch(ops),
                Change::Grant(lease, holder) => {
                    let living = Living { holder: holder.clone(), keys: BTreeSet::new() };
                    self.leases.insert(*lease, living);
                    applied.has_leases = true;
                }
                Change::End(lease) => {
                    self.end(*lease);
                    applied.ended.push(*lease);
                    applied.has_leases = true;
                }
                Change::Compact { before } => self.history.compact(*before),
            }
        }
        self.index += 1;
        self.logged += record_len(changes);
        applied
    }

    fn batch(&mut self, ops: &[Op]) {
        let revision = self.revision.next();
        let mut events = Vec::with_capacity(ops.len());
        for op in ops {
            match op {
                Op::Delete { key } => {
                    self.remove(key);
                    events.push(Event::Delete { key: key.clone() });
                }
                Op::Put { key, value, lease } => {
                    let old = self.keys.get(key);
                    let entry = Entry {
                        key: key.clone(),
                        value: value.clone(),
                        created: old.map_or(revision, |old| old.created),
                        modified: revision,
                        version: old.map_or(0, |old| old.version) + 1,
                        lease: *lease,
                    };
                    self.set(entry.clone());
                    events.push(Event::Put(entry));
                }
            }
        }
        self.push(events);
    }

    fn end(&mut self, lease: LeaseId) {
        let Some(living) = self.leases.remove(&lease) else { return };
        for key in &living.keys {
            self.remove(key);
        }
        let events: Vec<_> = living.keys.into_iter().map(|key| Event::Delete { key }).collect();
        if !events.is_empty() {
            self.push(events);
        }
    }

    fn push(&mut self, events: Vec<Event>) {
        self.revision = self.revision.next();
        self.history.push(Arc::new(Batch { revision: self.revision, events }));
    }

    fn set(&mut self, entry: Entry) {
        if let Some(living) = entry.lease.and_then(|lease| self.leases.get_mut(&lease)) {
            living.keys.insert(entry.key.clone());
        }
        self.bytes += size(&entry);
        let owner = entry.lease;
        if let Some(old) = self.keys.insert(entry.key.clone(), entry) {
            self.forget(&old, owner);
        }
    }

    fn remove(&mut self, key: &Key) {
        if let Some(old) = self.keys.remove(key) {
            self.forget(&old, None);
        }
    }

    /// The entry is gone; its key now belongs to `owner`.
    fn forget(&mut self, old: &Entry, owner: Option<LeaseId>) {
        self.bytes -= size(old);
        if old.lease != owner
            && let Some(living) = old.lease.and_then(|lease| self.leases.get_mut(&lease))
        {
            living.keys.remove(&old.key);
        }
    }

    pub(super) fn get(&self, key: &Key) -> Option<&Entry> {
        self.keys.get(key)
    }

    pub(super) fn lookup(&self, key: &Key) -> Lookup {
        Lookup { entry: self.keys.get(key).cloned(), revision: self.revision }
    }

    pub(super) fn lease(&self, lease: LeaseId) -> Option<&Living> {
        self.leases.get(&lease)
    }

    pub(super) fn leases(&self) -> impl Iterator<Item = (LeaseId, &Living)> {
        self.leases.iter().map(|(&lease, living)| (lease, living))
    }

    pub(super) fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.keys.values()
    }

    pub(super) fn len(&self) -> usize {
        self.keys.len()
    }

    /// The size of all keys and values.
    pub(super) const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The page that is asked for, at the copy's revision.
    pub(super) fn page(&self, range: &Range) -> Page {
        let start = match &range.after {
            // A key before the prefix must not widen the range.
            Some(after) if **after >= *range.prefix => Bound::Excluded(after),
            _ => Bound::Included(&range.prefix),
        };
        let found = self.keys.range::<Key, _>((start, Bound::Unbounded));
        let mut found =
            found.map(|(_, entry)| entry).take_while(|entry| entry.key.starts_with(&range.prefix));
        let limit = range.limit.unwrap_or(usize::MAX);
        let entries: Vec<Entry> = found.by_ref().take(limit).cloned().collect();
        Page { more: found.next().is_some(), entries, revision: self.revision }
    }
}

fn size(entry: &Entry) -> u64 {
    u64::try_from(entry.key.len() + entry.value.len()).expect("lengths fit")
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: Bounds = Bounds { batches: 100, bytes: 1 << 20 };

    fn put(key: &str, lease: Option<u64>) -> Op {
        Op::Put { key: key.into(), value: "v".into(), lease: lease.map(LeaseId::new) }
    }

    fn grant(lease: u64) -> Change {
        Change::Grant(LeaseId::new(lease), Holder::Ttl { ttl_ms: 1 })
    }

    #[test]
    fn the_end_of_a_lease_deletes_the_keys_it_still_owns_in_one_batch() {
        let mut copy = Copy::empty(BOUNDS);
        let all = ["a", "b", "c", "d"].map(|key| put(key, Some(1))).to_vec();
        copy.apply(&[grant(1), grant(2), Change::Batch(all)]);
        copy.apply(&[Change::Batch(vec![put("a", None), put("b", Some(2)), put("c", Some(1))])]);
        let applied = copy.apply(&[Change::End(LeaseId::new(1))]);
        assert_eq!((applied.ended, copy.revision, copy.index), (vec![LeaseId::new(1)], Revision::new(3), 3));
        let left: Vec<String> = copy.entries().map(|entry| entry.key.to_string()).collect();
        assert_eq!((left, copy.bytes()), (vec!["a".to_owned(), "b".to_owned()], 4));
        copy.apply(&[Change::End(LeaseId::new(1))]);
        assert_eq!(copy.revision, Revision::new(3), "an end without keys is no batch");
    }

    #[test]
    fn a_copy_of_a_snapshot_equals_the_one_it_was_made_of() {
        let mut copy = Copy::empty(BOUNDS);
        copy.apply(&[grant(1), Change::Batch(vec![put("a", Some(1)), put("b", None)])]);
        copy.apply(&[Change::Batch(vec![put("b", None)])]);
        let at = SnapshotAt { name: 1, index: 2, revision: copy.revision, logged: 0, parts: 1, bytes: 4 };
        let mut again = Copy::at(&at, BOUNDS);
        copy.leases().for_each(|(lease, living)| again.add(Item::Lease(lease, living.holder.clone())));
        copy.entries().for_each(|entry| again.add(Item::Entry(entry.clone())));
        assert_eq!((again.page(&Range::prefix("")), again.bytes()), (copy.page(&Range::prefix("")), 4));
        for copy in [&mut copy, &mut again] {
            copy.apply(&[Change::End(LeaseId::new(1))]);
        }
        assert_eq!(again.page(&Range::prefix("")), copy.page(&Range::prefix("")));
        assert_eq!(again.lookup(&"b".into()).entry.unwrap().version, 2);
    }
}
