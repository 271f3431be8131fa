//! What one round of decisions wants to have in the store, in the order it was decided.

use std::collections::BTreeMap;
use std::time::Instant;

use bytes::Bytes;
use kogge_store::{Commit, CommitError, Guard, Key, MAX_COMMIT_BYTES, MAX_COMMIT_OPS, Store};
use serde::Serialize;

use crate::pace::Pace;

/// Puts and deletes, one a key: the last word on a key counts, and keeps the later place.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    next: u64,
    by_place: BTreeMap<u64, (Key, Option<Bytes>)>,
    places: BTreeMap<Key, u64>,
}

impl Batch {
    /// Stores `record` as JSON under `key`.
    pub(crate) fn put(&mut self, key: Key, record: &impl Serialize) {
        let value = serde_json::to_vec(record).expect("records are plain data with text keys");
        self.set(key, Some(value.into()));
    }

    /// Stores `bytes` under `key`.
    pub(crate) fn put_bytes(&mut self, key: Key, bytes: Vec<u8>) {
        self.set(key, Some(bytes.into()));
    }

    /// Removes `key`.
    pub(crate) fn delete(&mut self, key: Key) {
        self.set(key, None);
    }

    /// How much it writes.
    pub(crate) fn len(&self) -> usize {
        self.by_place.len()
    }

    /// Whether there is nothing to write.
    pub(crate) fn is_empty(&self) -> bool {
        self.by_place.is_empty()
    }

    /// What it writes, in order.
    #[cfg(test)]
    pub(crate) fn writes(&self) -> impl Iterator<Item = (&Key, Option<&Bytes>)> {
        self.by_place.values().map(|(key, value)| (key, value.as_ref()))
    }

    /// The same, taken out of it.
    #[cfg(test)]
    pub(crate) fn into_writes(self) -> impl Iterator<Item = (Key, Option<Bytes>)> {
        self.by_place.into_values()
    }

    fn set(&mut self, key: Key, value: Option<Bytes>) {
        self.next += 1;
        if let Some(old) = self.places.insert(key.clone(), self.next) {
            self.by_place.remove(&old);
        }
        self.by_place.insert(self.next, (key, value));
    }

    /// The commits that write it, each within the bounds of every engine, each guarded.
    ///
    /// A batch that needs several is not atomic as a whole: the cores take any prefix of it for a crash in
    /// between, which is why the order of decisions is kept.
    fn into_commits(self, guard: &Guard) -> Vec<Commit> {
        let mut commits = Vec::new();
        let mut commit = Commit::new().when(guard.clone());
        let mut bytes = 0;
        for (key, value) in self.by_place.into_values() {
            let size = key.len() + value.as_ref().map_or(0, Bytes::len);
            if commit.ops.len() == MAX_COMMIT_OPS || (bytes + size > MAX_COMMIT_BYTES / 2 && bytes > 0) {
                commits.push(std::mem::replace(&mut commit, Commit::new().when(guard.clone())));
                bytes = 0;
            }
            bytes += size;
            commit = match value {
                Some(value) => commit.put(key, value),
                None => commit.delete(key),
            };
        }
        if !commit.ops.is_empty() {
            commits.push(commit);
        }
        commits
    }

    /// Writes everything, and notes how long each commit takes; when it answers, all of it is durable.
    pub(crate) async fn persist(
        self,
        store: &dyn Store,
        guard: &Guard,
        pace: &Pace,
    ) -> Result<(), CommitError> {
        for commit in self.into_commits(guard) {
            let begin = Instant::now();
            let committed = store.commit(commit).await;
            pace.note(begin.elapsed(), Instant::now());
            committed?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_word_on_a_key_counts_and_order_is_kept() {
        let mut batch = Batch::default();
        batch.put("a".into(), &1);
        batch.put("b".into(), &2);
        batch.delete("a".into());
        let keys: Vec<String> = batch.by_place.values().map(|(key, _)| key.to_string()).collect();
        assert_eq!(keys, ["b", "a"]);
    }

    #[test]
    fn large_batches_become_several_guarded_commits() {
        let mut batch = Batch::default();
        for n in 0..300 {
            batch.put_bytes(format!("k{n}").into(), vec![0; 10]);
        }
        let commits = batch.into_commits(&Guard::Present("leader".into()));
        assert_eq!(commits.iter().map(|commit| commit.ops.len()).collect::<Vec<_>>(), [128, 128, 44]);
        assert!(commits.iter().all(|commit| commit.guards.len() == 1));
    }
}
