//! A bounded share of the blocking pool for disk, hashing and compression.

use std::sync::Arc;

use tokio::sync::Semaphore;

/// Runs blocking work away from the executor, never more than a few jobs at once. Clones share the bound.
///
/// When all places are taken, callers wait in order.
#[derive(Debug, Clone)]
pub struct Workers {
    places: Arc<Semaphore>,
    limit: u32,
}

impl Workers {
    /// Room for `limit` jobs at the same time, at least one.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        let limit = u32::try_from(limit.max(1)).unwrap_or(u32::MAX);
        let places = usize::try_from(limit).unwrap_or(Semaphore::MAX_PERMITS).min(Semaphore::MAX_PERMITS);
        Self { places: Arc::new(Semaphore::new(places)), limit }
    }

    /// Waits until every job that has begun has ended, those of dropped callers too.
    ///
    /// # Panics
    /// Never: the places are never closed.
    pub async fn wait_for_all(&self) {
        drop(self.places.acquire_many(self.limit).await.expect("the semaphore is never closed"));
    }

    /// Runs `job` to its end; dropping the future does not stop a job that has begun.
    ///
    /// # Panics
    /// With the job's own panic, if it has one.
    pub async fn run<T, F>(&self, job: F) -> T
    where
        T: Send + 'static,
        F: FnOnce() -> T + Send + 'static,
    {
        let place = Arc::clone(&self.places).acquire_owned().await.expect("the semaphore is never closed");
        let task = tokio::task::spawn_blocking(move || {
            // The place is given back by the job itself: a dropped caller must not free it early.
            let _place = place;
            job()
        });
        match task.await {
            Ok(value) => value,
            Err(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                // The runtime is going down and took the job with it: nobody is left to be answered.
                Err(_) => std::future::pending().await,
            },
        }
    }
}
