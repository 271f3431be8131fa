//! From a snapshot into an empty store, whatever its engine.
//!
//! It takes many commits, so it can end halfway. A mark stands in the store from the first commit to the last; who
//! reads the state must not take it over while [`UNFINISHED`] is there. An import that is begun again clears what the
//! one before it left.

use std::io::Read;

use bytes::Bytes;
use thiserror::Error;

use crate::snapshot::{ReadSnapshotError, Reader, Summary};
use crate::{
    Commit, CommitError, Consistency, Entry, Guard, Key, MAX_COMMIT_BYTES, MAX_COMMIT_OPS, Op, Range,
    ReadError, Revision, Store,
};

/// There while an import is under way, or after one that did not come to its end.
pub const UNFINISHED: &str = "import/unfinished";

/// Entries looked at in one step while the store is cleared.
const PAGE: usize = MAX_COMMIT_OPS - 1;

/// An import that did not come to its end. The mark stands unless nothing was written at all.
#[derive(Debug, Error)]
pub enum ImportError {
    /// Somebody's state is there already.
    #[error("the store holds a state already ({keys} keys in its first page, one of them is {example})")]
    NotEmpty {
        /// How many, at least.
        keys: usize,
        /// One of them.
        example: Key,
    },
    /// The snapshot cannot be used.
    #[error("cannot use the snapshot")]
    Snapshot(#[from] ReadSnapshotError),
    /// The store cannot be read.
    #[error("cannot read the store that is to be filled")]
    Read(#[from] ReadError),
    /// The store does not take it.
    #[error("cannot write to the store that is to be filled")]
    Write(#[from] CommitError),
}

/// An import under way.
#[derive(Debug)]
pub struct Import<'a> {
    store: &'a dyn Store,
    guard: Guard,
    waiting: Vec<Op>,
    bytes: usize,
}

impl<'a> Import<'a> {
    /// Puts the mark into an empty store, or takes over after an import that did not come to its end. Keys that a
    /// lease owns do not count: they go with their owners. Every write is guarded by `guard`, that of the leadership
    /// under which nobody else writes.
    ///
    /// # Errors
    /// [`ImportError::NotEmpty`] when a state is there; nothing was written then.
    pub async fn begin(store: &'a dyn Store, guard: Guard) -> Result<Self, ImportError> {
        let mark = Key::from(UNFINISHED);
        if store.get(&mark, Consistency::Linearizable).await?.entry.is_some() {
            clear(store, &guard, &mark).await?;
        } else {
            let page = store.range(Range::prefix(Key::ALL).paged(PAGE)).await?;
            let standing: Vec<&Entry> = page.entries.iter().filter(|entry| entry.lease.is_none()).collect();
            if let Some(example) = standing.first() {
                let (keys, example) = (standing.len(), example.key.clone());
                return Err(ImportError::NotEmpty { keys, example });
            }
        }
        store.commit(Commit::new().when(guard.clone()).put(mark, Bytes::from_static(b"1"))).await?;
        Ok(Self { store, guard, waiting: Vec::new(), bytes: 0 })
    }

    /// Writes every entry of the snapshot; `told` hears how many there are so far. Reads `snapshot` blockingly.
    ///
    /// # Errors
    /// When the snapshot is not whole or the store does not take it: begin again.
    pub async fn fill(
        &mut self,
        mut snapshot: Reader<impl Read>,
        mut told: impl FnMut(u64),
    ) -> Result<Summary, ImportError> {
        let mut entries = 0;
        while let Some(entry) = snapshot.next_entry()? {
            entries += 1;
            let size = entry.key.len() + entry.value.len();
            if self.waiting.len() == PAGE || (self.bytes + size > MAX_COMMIT_BYTES / 2 && self.bytes > 0) {
                self.write().await?;
                told(entries);
            }
            self.bytes += size;
            self.waiting.push(Op::Put { key: entry.key, value: entry.value, lease: None });
        }
        self.write().await?;
        told(entries);
        Ok(Summary { revision: snapshot.revision(), entries })
    }

    /// Takes the mark away together with the last words `ops`: from here on the state may be taken over.
    ///
    /// # Errors
    /// When the store does not take it; the mark may stand.
    pub async fn finish(self, ops: Vec<Op>) -> Result<Revision, ImportError> {
        let mut commit = Commit::new().when(self.guard).delete(Key::from(UNFINISHED));
        commit.ops.extend(ops);
        Ok(self.store.commit(commit).await?)
    }

    async fn write(&mut self) -> Result<(), ImportError> {
        let mut commit = Commit::new().when(self.guard.clone());
        commit.ops = std::mem::take(&mut self.waiting);
        self.bytes = 0;
        if !commit.ops.is_empty() {
            self.store.commit(commit).await?;
        }
        Ok(())
    }
}

/// Removes everything that no lease owns, the mark last of all by whoever finishes.
async fn clear(store: &dyn Store, guard: &Guard, mark: &Key) -> Result<(), ImportError> {
    let mut next = Some(Range::prefix(Key::ALL).paged(PAGE));
    while let Some(range) = next {
        let page = store.range(range.clone()).await?;
        let mut commit = Commit::new().when(guard.clone());
        for entry in page.entries.iter().filter(|entry| entry.lease.is_none() && entry.key != *mark) {
            commit = commit.delete(entry.key.clone());
        }
        if !commit.ops.is_empty() {
            store.commit(commit).await?;
        }
        // Deleting moves no key: the page after this one is still the page after this one, at a newer revision.
        next = range.following(&page).map(|following| Range { at: None, ..following });
    }
    Ok(())
}
