//! At most one thing at a time is done to a task's files.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use kogge_model::id::TaskId;
use tokio::sync::OwnedMutexGuard;

type Lock = Arc<tokio::sync::Mutex<()>>;

/// One lock a task. Clones share them.
#[derive(Debug, Clone, Default)]
pub(crate) struct TaskLocks {
    locks: Arc<Mutex<BTreeMap<TaskId, Lock>>>,
}

/// Whoever holds it is alone with the task's files.
#[derive(Debug)]
pub(crate) struct Alone {
    locks: TaskLocks,
    task: TaskId,
    guard: Option<OwnedMutexGuard<()>>,
}

impl TaskLocks {
    /// Waits until nobody else is at `task`.
    pub(crate) async fn alone(&self, task: &TaskId) -> Alone {
        let lock = Arc::clone(self.locks().entry(task.clone()).or_default());
        let guard = Some(lock.lock_owned().await);
        Alone { locks: self.clone(), task: task.clone(), guard }
    }

    fn locks(&self) -> MutexGuard<'_, BTreeMap<TaskId, Lock>> {
        self.locks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Alone {
    fn drop(&mut self) {
        self.guard = None;
        let mut locks = self.locks.locks();
        // Nobody waits: waiting ones hold a clone.
        if locks.get(&self.task).is_some_and(|lock| Arc::strong_count(lock) == 1) {
            locks.remove(&self.task);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_second_waits_for_the_first_and_nothing_is_left() {
        let (locks, task) = (TaskLocks::default(), TaskId::new("a"));
        let first = locks.alone(&task).await;
        let second = locks.alone(&task);
        let mut second = std::pin::pin!(second);
        assert!(futures_util::poll!(second.as_mut()).is_pending());
        let _other = locks.alone(&TaskId::new("b")).await;
        drop(first);
        drop(second.await);
        assert_eq!(locks.locks().len(), 1);
    }
}
