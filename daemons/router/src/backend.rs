//! One instance as the router sees it: requests in flight, unused connections, and whether to avoid it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use kogge_model::id::{RunId, TaskId};
use kogge_model::name::InstanceId;
use tokio::sync::Notify;

use crate::pool::Pool;
use crate::traffic::Traffic;

/// The end of a time that nobody knows.
const SILENT: u64 = u64::MAX;

/// A backend outlives the tables that name it for as long as a request uses it.
#[derive(Debug)]
pub(crate) struct Backend {
    pub(crate) instance: InstanceId,
    pub(crate) task: TaskId,
    pub(crate) run: RunId,
    pub(crate) endpoint: SocketAddr,
    pub(crate) traffic: Arc<Traffic>,
    pub(crate) pool: Pool,
    in_flight: AtomicUsize,
    is_retired: AtomicBool,
    /// [`SILENT`] while nobody answers there.
    avoid_until_ms: AtomicU64,
    became_idle: Notify,
}

impl Backend {
    pub(crate) fn new(of: &kogge_discovery::Backend, traffic: Arc<Traffic>, pool: Pool) -> Self {
        Self {
            instance: of.instance.clone(),
            task: of.task.clone(),
            run: of.run,
            endpoint: of.endpoint,
            traffic,
            pool,
            in_flight: AtomicUsize::new(0),
            is_retired: AtomicBool::new(false),
            avoid_until_ms: AtomicU64::new(0),
            became_idle: Notify::new(),
        }
    }

    pub(crate) fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::SeqCst)
    }

    pub(crate) fn is_retired(&self) -> bool {
        self.is_retired.load(Ordering::SeqCst)
    }

    /// No table names it any more: no request may begin, and unused connections go.
    pub(crate) fn retire(&self) {
        self.is_retired.store(true, Ordering::SeqCst);
        self.pool.clear();
        self.became_idle.notify_waiters();
    }

    /// A table names it again.
    pub(crate) fn reinstate(&self) {
        self.is_retired.store(false, Ordering::SeqCst);
    }

    /// It refused a connection: others are preferred until then.
    pub(crate) fn avoid_until(&self, until_ms: u64) {
        self.avoid_until_ms.fetch_max(until_ms, Ordering::Relaxed);
    }

    /// Nobody answers there: others are preferred until somebody does. Whether that is news.
    pub(crate) fn fall_silent(&self) -> bool {
        self.avoid_until_ms.swap(SILENT, Ordering::Relaxed) != SILENT
    }

    /// Somebody answers there, or nobody asks any more.
    pub(crate) fn is_heard(&self) {
        self.avoid_until_ms.store(0, Ordering::Relaxed);
    }

    pub(crate) fn is_avoided(&self, now_ms: u64) -> bool {
        let until_ms = self.avoid_until_ms.load(Ordering::Relaxed);
        until_ms != 0 && now_ms < until_ms
    }

    /// Resolves when it is retired and no request is in flight.
    pub(crate) async fn drained(&self) {
        loop {
            let became_idle = self.became_idle.notified();
            tokio::pin!(became_idle);
            became_idle.as_mut().enable();
            if self.is_retired() && self.in_flight() == 0 {
                return;
            }
            became_idle.await;
        }
    }
}

/// The right to send one request to a backend; counts as in flight until dropped.
#[derive(Debug)]
pub(crate) struct Lease {
    backend: Arc<Backend>,
}

impl Lease {
    /// None when the backend has been retired meanwhile.
    ///
    /// The count is raised before the flag is read, and whoever retires sets the flag before reading the count, both
    /// sequentially consistent: either this sees the flag, or the other one sees the count. So "retired and nothing
    /// in flight" is final.
    pub(crate) fn take(backend: &Arc<Backend>) -> Option<Self> {
        backend.in_flight.fetch_add(1, Ordering::SeqCst);
        let lease = Self { backend: Arc::clone(backend) };
        if lease.backend.is_retired() { None } else { Some(lease) }
    }
}

impl Lease {
    /// Whose it is.
    pub(crate) const fn backend(&self) -> &Arc<Backend> {
        &self.backend
    }
}

impl std::ops::Deref for Lease {
    type Target = Backend;

    fn deref(&self) -> &Backend {
        &self.backend
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let was = self.backend.in_flight.fetch_sub(1, Ordering::SeqCst);
        assert!(was > 0, "a lease was counted when it was taken");
        if was == 1 && self.backend.is_retired() {
            self.backend.became_idle.notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests {
    use kogge_model::id::AgentId;

    use super::*;

    #[test]
    fn silence_lasts_until_somebody_answers_and_a_refusal_does_not_shorten_it() {
        let of = kogge_discovery::Backend {
            instance: "shop.1".parse().unwrap(),
            task: TaskId::new("t"),
            run: RunId(1),
            agent: AgentId::new("a"),
            endpoint: ([127, 0, 0, 1], 1000).into(),
        };
        let backend = Backend::new(&of, Arc::default(), Pool::new(1, 1));
        backend.avoid_until(10);
        assert!(backend.is_avoided(9) && !backend.is_avoided(10));
        assert!(backend.fall_silent());
        backend.avoid_until(20);
        assert!(!backend.fall_silent(), "one asks already");
        assert!(backend.is_avoided(1_000_000));
        backend.is_heard();
        assert!(!backend.is_avoided(0));
    }
}
