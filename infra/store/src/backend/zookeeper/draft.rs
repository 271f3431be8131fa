//! What a group of requests would do, worked out on the copy before anything is written.
//!
//! Each request sees what those before it did. One that is refused has changed nothing.

use std::collections::{BTreeMap, BTreeSet};

use crate::{Commit, CommitError, Guard, Key, LeaseId, Op, Revision};

use super::copy::Copy;
use super::head::{Head, SnapshotAt};
use super::queue::{Action, Done, Reply};
use super::record::{Change, Holder};

/// What was learned from transactions that were refused.
#[derive(Debug, Default)]
pub(super) struct Learned {
    /// Ephemeral nodes that are gone: their leases have ended.
    pub(super) gone: BTreeSet<String>,
    /// Leases that had a sign of life after all.
    pub(super) alive: BTreeSet<LeaseId>,
    /// Nodes of leases that are already as they should become.
    pub(super) settled: BTreeSet<String>,
    /// The block of the next record is not there yet.
    pub(super) needs_block: bool,
}

/// What must happen to nodes together with a record.
#[derive(Debug, Default)]
pub(super) struct Nodes {
    /// Must exist.
    pub(super) fences: BTreeSet<String>,
    /// Come into being.
    pub(super) begun: Vec<LeaseId>,
    /// Go away, if they have this version (-1: any).
    pub(super) ended: Vec<(LeaseId, Fate)>,
}

/// The node of a lease that ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fate {
    /// The lease's own node, at this version; -1 is any.
    Lease { version: i32 },
    /// The candidate's.
    Candidate { path: String },
}

#[derive(Debug, Clone, Copy)]
struct Numbers {
    created: Revision,
    modified: Revision,
    lease: Option<LeaseId>,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Draft<'c> {
    copy: &'c Copy,
    learned: &'c Learned,
    keys: BTreeMap<Key, Option<Numbers>>,
    leases: BTreeMap<LeaseId, Option<Holder>>,
    pub(super) head: Head,
    pub(super) changes: Vec<Change>,
    pub(super) nodes: Nodes,
}

impl<'c> Draft<'c> {
    /// On a copy that is at `head`. Leases whose node is known to be gone end first.
    pub(super) fn new(copy: &'c Copy, head: &Head, learned: &'c Learned) -> Self {
        let (head, nodes) = (head.clone(), Nodes::default());
        let (keys, leases, changes) = (BTreeMap::new(), BTreeMap::new(), Vec::new());
        let mut draft = Self { copy, learned, keys, leases, head, changes, nodes };
        if !learned.gone.is_empty() {
            let is_gone =
                |holder: &Holder| matches!(holder, Holder::Node { path } if learned.gone.contains(path));
            let gone = copy.leases().filter(|(_, living)| is_gone(&living.holder)).map(|(lease, _)| lease);
            gone.for_each(|lease| draft.end(lease));
        }
        draft
    }

    /// One request.
    pub(super) fn act(&mut self, action: &Action) -> Reply {
        match action {
            Action::Commit(commit) => self.commit(commit),
            Action::Grant { ttl_ms } => {
                let lease = self.grant(Holder::Ttl { ttl_ms: *ttl_ms });
                self.nodes.begun.push(lease);
                Ok(Done::Lease(lease))
            }
            Action::Revoke(lease) => self.revoke(*lease, -1),
            Action::Expire { lease, version } => match self.learned.alive.contains(lease) {
                true => Ok(Done::Alive),
                false => self.revoke(*lease, *version),
            },
            Action::TakeOver { key, value, node } => self.take_over(key, value, node),
            Action::Compact { before } => {
                let has_older = self.copy.history.oldest() < *before && *before > Revision::ZERO.next();
                if has_older {
                    self.changes.push(Change::Compact { before: *before });
                }
                Ok(Done::At(self.head.revision))
            }
            Action::Checkpoint { at, janitor } => self.checkpoint(at, janitor),
            Action::Barrier => Ok(Done::At(self.head.revision)),
        }
    }

    fn commit(&mut self, commit: &Commit) -> Reply {
        for (index, guard) in commit.guards.iter().enumerate() {
            if !self.holds(guard) {
                return Err(CommitError::Conflict { index });
            }
        }
        for (index, op) in commit.ops.iter().enumerate() {
            if let Op::Put { lease: Some(lease), .. } = *op
                && self.holder(lease).is_none()
            {
                return Err(CommitError::LeaseEnded { index, lease });
            }
        }
        // What holds because of a session must still hold when the transaction happens.
        let guards = commit.guards.iter().filter_map(|guard| self.numbers(guard.key())?.lease);
        let puts = commit.ops.iter().filter_map(|op| match op {
            Op::Put { lease, .. } => *lease,
            Op::Delete { .. } => None,
        });
        let leases: Vec<_> = guards.chain(puts).collect();
        for lease in leases {
            if let Some(Holder::Node { path }) = self.holder(lease).cloned() {
                self.nodes.fences.insert(path);
            }
        }
        let has_effect = |op: &&Op| matches!(op, Op::Put { .. }) || self.numbers(op.key()).is_some();
        let ops: Vec<Op> = commit.ops.iter().filter(has_effect).cloned().collect();
        if !ops.is_empty() {
            self.batch(ops);
        }
        Ok(Done::At(self.head.revision))
    }

    fn batch(&mut self, ops: Vec<Op>) {
        self.head.revision = self.head.revision.next();
        let revision = self.head.revision;
        for op in &ops {
            let numbers = match op {
                Op::Delete { .. } => None,
                Op::Put { key, lease, .. } => {
                    let created = self.numbers(key).map_or(revision, |old| old.created);
                    Some(Numbers { created, modified: revision, lease: *lease })
                }
            };
            self.keys.insert(op.key().clone(), numbers);
        }
        self.changes.push(Change::Batch(ops));
    }

    fn grant(&mut self, holder: Holder) -> LeaseId {
        self.head.leases += 1;
        let lease = LeaseId::new(self.head.leases);
        self.leases.insert(lease, Some(holder.clone()));
        self.changes.push(Change::Grant(lease, holder));
        lease
    }

    fn revoke(&mut self, lease: LeaseId, version: i32) -> Reply {
        let fate = match self.holder(lease) {
            None => return Err(CommitError::LeaseEnded { index: 0, lease }),
            Some(Holder::Ttl { .. }) => Fate::Lease { version },
            Some(Holder::Node { path }) => Fate::Candidate { path: path.clone() },
        };
        self.nodes.ended.push((lease, fate));
        self.end(lease);
        Ok(Done::Lease(lease))
    }

    /// The lease and its keys are gone; its node is not looked at.
    fn end(&mut self, lease: LeaseId) {
        let drafted = self.keys.iter().filter(|(_, numbers)| numbers.is_some_and(|n| n.lease == Some(lease)));
        let mut owned: Vec<Key> = drafted.map(|(key, _)| key.clone()).collect();
        if let Some(living) = self.copy.lease(lease) {
            owned.extend(living.keys.iter().filter(|key| !self.keys.contains_key(*key)).cloned());
        }
        if !owned.is_empty() {
            self.head.revision = self.head.revision.next();
        }
        self.keys.extend(owned.into_iter().map(|key| (key, None)));
        self.leases.insert(lease, None);
        self.changes.push(Change::End(lease));
    }

    /// The first candidate leads: whoever led before has no node any more.
    fn take_over(&mut self, key: &Key, value: &bytes::Bytes, node: &str) -> Reply {
        if self.learned.gone.contains(node) {
            return Err(CommitError::Conflict { index: 0 });
        }
        if let Some(before) = self.numbers(key).and_then(|numbers| numbers.lease) {
            let is_own = matches!(self.holder(before), Some(Holder::Node { path }) if path == node);
            if is_own && let Some(numbers) = self.numbers(key) {
                return Ok(Done::Elected { lease: before, fence: numbers.created });
            }
            self.end(before);
        }
        let lease = self.grant(Holder::Node { path: node.to_owned() });
        self.batch(vec![Op::Put { key: key.clone(), value: value.clone(), lease: Some(lease) }]);
        self.nodes.fences.insert(node.to_owned());
        Ok(Done::Elected { lease, fence: self.head.revision })
    }

    fn checkpoint(&mut self, at: &SnapshotAt, janitor: &str) -> Reply {
        let before = self.head.snapshot.map_or(0, |before| before.index);
        if self.head.snapshot.is_some_and(|before| before.name == at.name) {
            return Ok(Done::At(at.revision));
        }
        if self.learned.gone.contains(janitor) || at.index <= before || at.index > self.head.index {
            return Err(CommitError::Conflict { index: 0 });
        }
        self.head.first = before + 1;
        self.head.snapshot = Some(*at);
        self.nodes.fences.insert(janitor.to_owned());
        Ok(Done::At(at.revision))
    }

    fn holds(&self, guard: &Guard) -> bool {
        let found = self.numbers(guard.key());
        match guard {
            Guard::Absent(_) => found.is_none(),
            Guard::Present(_) => found.is_some(),
            Guard::Modified(_, revision) => found.is_some_and(|numbers| numbers.modified == *revision),
            Guard::Created(_, revision) => found.is_some_and(|numbers| numbers.created == *revision),
        }
    }

    fn numbers(&self, key: &Key) -> Option<Numbers> {
        if let Some(drafted) = self.keys.get(key) {
            return *drafted;
        }
        let entry = self.copy.get(key)?;
        Some(Numbers { created: entry.created, modified: entry.modified, lease: entry.lease })
    }

    fn holder(&self, lease: LeaseId) -> Option<&Holder> {
        match self.leases.get(&lease) {
            Some(drafted) => drafted.as_ref(),
            None => self.copy.lease(lease).map(|living| &living.holder),
        }
    }
}
