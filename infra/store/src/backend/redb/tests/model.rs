//! The engine against a map: any sequence of commits, leases, compactions and restarts.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::Bytes;
use proptest::prelude::*;

use crate::backend::redb::{Embedded, Options};
use crate::{
    Batch, Change, Commit, CommitError, Entry, Event, Guard, Key, LeaseId, Op, Range, Revision, Store,
};

use super::{Directory, crash_image};

/// Keys, leases and revisions are drawn from few, so that they often meet.
#[derive(Debug, Clone)]
enum Step {
    Commit { guards: Vec<(u8, u8, u8)>, ops: Vec<(u8, Option<u8>, Option<u8>)> },
    Grant,
    Revoke(u8),
    Compact(u8),
    Reopen,
    Crash,
}

fn step() -> impl Strategy<Value = Step> {
    let guards = prop::collection::vec((0u8..4, 0u8..6, 0u8..4), 0..3);
    let ops = prop::collection::vec(
        (0u8..6, prop::option::of(any::<u8>()), prop::option::weighted(0.3, 0u8..4)),
        0..4,
    );
    prop_oneof![
        12 => (guards, ops).prop_map(|(guards, ops)| Step::Commit { guards, ops }),
        2 => Just(Step::Grant),
        2 => (0u8..4).prop_map(Step::Revoke),
        1 => any::<u8>().prop_map(Step::Compact),
        1 => Just(Step::Reopen),
        1 => Just(Step::Crash),
    ]
}

#[derive(Default)]
struct Model {
    entries: BTreeMap<Key, Entry>,
    leases: BTreeSet<LeaseId>,
    granted: Vec<LeaseId>,
    batches: Vec<Batch>,
    oldest: u64,
}

fn key(number: u8) -> Key {
    Key::from(["a", "a/b", "a/c", "b", "a//", "c"][usize::from(number)])
}

impl Model {
    fn head(&self) -> Revision {
        self.batches.last().map_or(Revision::ZERO, |batch| batch.revision)
    }

    fn lease(&self, number: u8) -> LeaseId {
        let never = LeaseId::new(u64::MAX - 7);
        self.granted.iter().rev().nth(usize::from(number)).copied().unwrap_or(never)
    }

    fn commit_of(&self, guards: &[(u8, u8, u8)], ops: &[(u8, Option<u8>, Option<u8>)]) -> Commit {
        let mut commit = Commit::new();
        for &(kind, number, back) in guards {
            let entry = self.entries.get(&key(number));
            let moved =
                |revision: Revision| Revision::new(revision.get().saturating_sub(u64::from(back / 2)));
            commit = commit.when(match (kind, entry) {
                (0, _) => Guard::Absent(key(number)),
                (1, _) => Guard::Present(key(number)),
                (2, entry) => Guard::Modified(key(number), moved(entry.map_or(self.head(), |e| e.modified))),
                (_, entry) => Guard::Created(key(number), moved(entry.map_or(self.head(), |e| e.created))),
            });
        }
        let mut used = BTreeSet::new();
        for &(number, value, lease) in ops.iter().filter(|(number, ..)| used.insert(*number)) {
            commit.ops.push(match value {
                None => Op::Delete { key: key(number) },
                Some(value) => {
                    let value = Bytes::from(vec![value; usize::from(value) * 20]);
                    Op::Put { key: key(number), value, lease: lease.map(|lease| self.lease(lease)) }
                }
            });
        }
        commit
    }

    fn commit(&mut self, commit: Commit) -> Result<Revision, String> {
        for (index, guard) in commit.guards.iter().enumerate() {
            let entry = self.entries.get(guard.key());
            let holds = match guard {
                Guard::Absent(_) => entry.is_none(),
                Guard::Present(_) => entry.is_some(),
                Guard::Modified(_, revision) => entry.is_some_and(|entry| entry.modified == *revision),
                Guard::Created(_, revision) => entry.is_some_and(|entry| entry.created == *revision),
            };
            if !holds {
                return Err(CommitError::Conflict { index }.to_string());
            }
        }
        for (index, op) in commit.ops.iter().enumerate() {
            if let Op::Put { lease: Some(lease), .. } = *op
                && !self.leases.contains(&lease)
            {
                return Err(CommitError::LeaseEnded { index, lease }.to_string());
            }
        }
        self.apply(commit.ops);
        Ok(self.head())
    }

    fn apply(&mut self, ops: Vec<Op>) {
        let revision = self.head().next();
        let mut events = Vec::new();
        for op in ops {
            match op {
                Op::Delete { key } => {
                    if self.entries.remove(&key).is_some() {
                        events.push(Event::Delete { key });
                    }
                }
                Op::Put { key, value, lease } => {
                    let old = self.entries.get(&key);
                    let created = old.map_or(revision, |old| old.created);
                    let version = old.map_or(1, |old| old.version + 1);
                    let entry =
                        Entry { key: key.clone(), value, created, modified: revision, version, lease };
                    self.entries.insert(key, entry.clone());
                    events.push(Event::Put(entry));
                }
            }
        }
        if !events.is_empty() {
            self.batches.push(Batch { revision, events });
        }
    }

    fn revoke(&mut self, lease: LeaseId) -> bool {
        let owned = self.entries.values().filter(|entry| entry.lease == Some(lease));
        let ops = owned.map(|entry| Op::Delete { key: entry.key.clone() }).collect();
        let existed = self.leases.remove(&lease);
        if existed {
            self.apply(ops);
        }
        existed
    }
}

async fn open(directory: &Directory) -> Embedded {
    Embedded::open(directory.0.path(), Options::default()).await.unwrap()
}

async fn take(model: &mut Model, store: Embedded, directory: &Directory, step: &Step) -> Embedded {
    match step {
        Step::Commit { guards, ops } => {
            let commit = model.commit_of(guards, ops);
            let expected = model.commit(commit.clone());
            let found = store.commit(commit).await.map_err(|error| error.to_string());
            assert_eq!(found, expected);
        }
        Step::Grant => {
            let lease = store.lease_grant(Duration::from_secs(3600)).await.unwrap().id;
            assert!(model.leases.insert(lease), "a new id");
            model.granted.push(lease);
        }
        Step::Revoke(number) => {
            let lease = model.lease(*number);
            assert_eq!(store.lease_revoke(lease).await.is_ok(), model.revoke(lease));
        }
        Step::Compact(back) => {
            let before = model.head().get().saturating_sub(u64::from(*back) / 16);
            store.compact(Revision::new(before)).await.unwrap();
            model.oldest = model.oldest.max(before);
        }
        Step::Reopen => {
            drop(store);
            return open(directory).await;
        }
        Step::Crash => {
            let image = crash_image(directory.0.path());
            drop(store);
            for name in ["state.redb", "state.log"] {
                std::fs::copy(image.0.path().join(name), directory.0.path().join(name)).unwrap();
            }
            return open(directory).await;
        }
    }
    store
}

async fn compare(model: &Model, store: &Embedded) {
    let page = store.range(Range::prefix(Key::ALL)).await.unwrap();
    assert_eq!(page.revision, model.head());
    assert_eq!(page.entries, model.entries.values().cloned().collect::<Vec<_>>());
    let from = Revision::new(model.oldest.max(1));
    let mut watch = store.watch(Key::ALL, from);
    for batch in model.batches.iter().filter(|batch| batch.revision >= from) {
        assert_eq!(watch.next().await, Some(Change::Batch(batch.clone())));
    }
    if model.oldest > 1 {
        let mut watch = store.watch(Key::ALL, Revision::new(model.oldest - 1));
        assert!(matches!(watch.next().await, Some(Change::Compacted { oldest }) if oldest == from));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_store_does_what_a_map_would(steps in prop::collection::vec(step(), 1..40)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let directory = Directory::new();
            let (mut model, mut store) = (Model::default(), open(&directory).await);
            for step in &steps {
                store = take(&mut model, store, &directory, step).await;
            }
            compare(&model, &store).await;
            drop(store);
            compare(&model, &open(&directory).await).await;
        });
    }
}
