//! At most one thing at a time is done to a task's files, and an image is pulled once for all who wait for it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::OwnedMutexGuard;

type Lock = Arc<tokio::sync::Mutex<()>>;

/// One lock for each key. Clones share them.
#[derive(Debug)]
pub(crate) struct Locks<K> {
    locks: Arc<Mutex<BTreeMap<K, Lock>>>,
}

/// Whoever holds it is alone with its key.
#[derive(Debug)]
pub(crate) struct Alone<K: Ord + Clone> {
    locks: Locks<K>,
    key: K,
    guard: Option<OwnedMutexGuard<()>>,
}

impl<K> Default for Locks<K> {
    fn default() -> Self {
        Self { locks: Arc::default() }
    }
}

impl<K> Clone for Locks<K> {
    fn clone(&self) -> Self {
        Self { locks: Arc::clone(&self.locks) }
    }
}

impl<K: Ord + Clone> Locks<K> {
    /// Waits until nobody else is at `key`.
    pub(crate) async fn alone(&self, key: &K) -> Alone<K> {
        let lock = Arc::clone(self.locks().entry(key.clone()).or_default());
        let guard = Some(lock.lock_owned().await);
        Alone { locks: self.clone(), key: key.clone(), guard }
    }

    fn locks(&self) -> MutexGuard<'_, BTreeMap<K, Lock>> {
        self.locks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Ord + Clone> Drop for Alone<K> {
    fn drop(&mut self) {
        self.guard = None;
        let mut locks = self.locks.locks();
        // Nobody waits: waiting ones hold a clone.
        if locks.get(&self.key).is_some_and(|lock| Arc::strong_count(lock) == 1) {
            locks.remove(&self.key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_second_waits_for_the_first_and_nothing_is_left() {
        let (locks, task) = (Locks::default(), "a");
        let first = locks.alone(&task).await;
        let second = locks.alone(&task);
        let mut second = std::pin::pin!(second);
        assert!(futures_util::poll!(second.as_mut()).is_pending());
        let _other = locks.alone(&"b").await;
        drop(first);
        drop(second.await);
        assert_eq!(locks.locks().len(), 1);
    }
}
