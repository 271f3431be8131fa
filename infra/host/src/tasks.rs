//! Supervised tasks: whoever starts a task waits for it.
//!
//! A [`TaskGroup`] owns a cancellation token and every task started in it. Each task has a name and says what
//! its failure means. Shutting a group down cancels the token, waits for everyone inside, and after a deadline
//! names the laggards and aborts them.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::task::{AbortHandle, JoinHandle};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// What it means for the process when a task of this kind panics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnPanic {
    /// The rest of the group can go on: log it.
    Log,
    /// The group is useless without it: cancel the group, its owner sees [`TaskGroup::has_failed`].
    StopGroup,
}

/// A set of named tasks that live and end together. Clones share the set.
#[derive(Debug, Clone)]
pub struct TaskGroup {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    name: &'static str,
    token: CancellationToken,
    tracker: TaskTracker,
    /// Where its tasks run: in the runtime that it was made in, whoever starts them.
    runtime: Option<Handle>,
    running: Mutex<Running>,
}

#[derive(Debug, Default)]
struct Running {
    next: u64,
    failed: Option<String>,
    tasks: BTreeMap<u64, (String, AbortHandle)>,
}

impl TaskGroup {
    /// An empty group with a token of its own.
    #[must_use]
    pub fn new(name: &'static str) -> Self {
        Self::with_token(name, CancellationToken::new(), Handle::try_current().ok())
    }

    /// A group that ends when `self` ends, but can be shut down alone.
    #[must_use]
    pub fn child(&self, name: &'static str) -> Self {
        Self::with_token(name, self.inner.token.child_token(), self.inner.runtime.clone())
    }

    fn with_token(name: &'static str, token: CancellationToken, runtime: Option<Handle>) -> Self {
        let (tracker, running) = (TaskTracker::new(), Mutex::default());
        Self { inner: Arc::new(Inner { name, token, tracker, runtime, running }) }
    }

    /// The token that every task of this group should watch.
    #[must_use]
    pub fn token(&self) -> CancellationToken {
        self.inner.token.clone()
    }

    /// Resolves when the group has been told to end.
    pub async fn cancelled(&self) {
        self.inner.token.cancelled().await;
    }

    /// The task whose panic ended the group, with the panic's text.
    #[must_use]
    pub fn has_failed(&self) -> Option<String> {
        self.running().failed.clone()
    }

    /// Starts `future` as a task named `name`. The task is expected to watch [`TaskGroup::token`] if it is
    /// long-lived; a short one may simply finish.
    pub fn spawn<F>(
        &self,
        name: impl Into<String>,
        on_panic: OnPanic,
        future: F,
    ) -> JoinHandle<Option<F::Output>>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        let name = name.into();
        let group = self.clone();
        let id = {
            let mut running = self.running();
            running.next += 1;
            running.next
        };
        let label = name.clone();
        let (registered, wait) = tokio::sync::oneshot::channel::<()>();
        // Boxed: inside another future it would take its room twice, once as handed over and once as run.
        let future = Box::pin(future);
        let supervised = async move {
            // The entry must exist before the task can end, or it would stay listed for ever.
            let _ = wait.await;
            let guard = Entry { group, id, label, on_panic };
            let output = future.await;
            drop(guard);
            Some(output)
        };
        let task = match &self.inner.runtime {
            Some(runtime) => self.inner.tracker.spawn_on(supervised, runtime),
            None => self.inner.tracker.spawn(supervised),
        };
        self.running().tasks.insert(id, (name, task.abort_handle()));
        let _ = registered.send(());
        task
    }

    /// Cancels the group and waits for its tasks; after `deadline` the rest is aborted and named.
    pub async fn shutdown(&self, deadline: Duration) -> Vec<String> {
        self.inner.token.cancel();
        self.inner.tracker.close();
        if tokio::time::timeout(deadline, self.inner.tracker.wait()).await.is_ok() {
            return Vec::new();
        }
        let laggards: Vec<(String, AbortHandle)> = self.running().tasks.values().cloned().collect();
        for (name, handle) in &laggards {
            tracing::warn!(group = self.inner.name, task = %name, "task did not end in time, aborted");
            handle.abort();
        }
        self.inner.tracker.wait().await;
        laggards.into_iter().map(|(name, _)| name).collect()
    }

    fn running(&self) -> std::sync::MutexGuard<'_, Running> {
        self.inner.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Removes the task from the list however it ends, and applies its panic policy.
struct Entry {
    group: TaskGroup,
    id: u64,
    label: String,
    on_panic: OnPanic,
}

impl Drop for Entry {
    fn drop(&mut self) {
        let mut running = self.group.running();
        running.tasks.remove(&self.id);
        if !std::thread::panicking() {
            return;
        }
        tracing::error!(group = self.group.inner.name, task = %self.label, "task panicked");
        if self.on_panic == OnPanic::StopGroup {
            running.failed = Some(format!("task {} of {} panicked", self.label, self.group.inner.name));
            drop(running);
            self.group.inner.token.cancel();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn shutdown_waits_for_tasks_that_watch_the_token() {
        let group = TaskGroup::new("test");
        let token = group.token();
        let task = group.spawn("polite", OnPanic::Log, async move { token.cancelled().await });
        assert!(group.shutdown(Duration::from_secs(5)).await.is_empty());
        assert!(task.await.is_ok());
    }

    #[tokio::test]
    async fn shutdown_names_the_laggard() {
        let group = TaskGroup::new("test");
        let _task = group.spawn("deaf", OnPanic::Log, std::future::pending::<()>());
        assert_eq!(group.shutdown(Duration::from_millis(20)).await, vec!["deaf".to_owned()]);
    }

    #[tokio::test]
    async fn a_panic_in_a_vital_task_stops_the_group() {
        let group = TaskGroup::new("test");
        let task = group.spawn("vital", OnPanic::StopGroup, async { panic!("on purpose") });
        assert!(task.await.is_err());
        group.cancelled().await;
        assert!(group.has_failed().is_some_and(|text| text.contains("vital")));
    }
}
