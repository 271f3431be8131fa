//! All client connections: how many, and whom to tell.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use tokio::sync::Notify;

use crate::client_connection::ClientConnection;

/// The open client connections, tunnels included.
#[derive(Debug, Default)]
pub(crate) struct Connections {
    open: Mutex<BTreeMap<u64, Weak<ClientConnection>>>,
    count: AtomicUsize,
    next: AtomicU64,
    became_some: Notify,
}

impl Connections {
    /// A place for one more, as its number; none when there are `max`.
    pub(crate) fn reserve(&self, max: usize) -> Option<u64> {
        let is_below = |count: usize| (count < max).then_some(count + 1);
        let before = self.count.fetch_update(Ordering::SeqCst, Ordering::SeqCst, is_below).ok()?;
        if before == 0 {
            self.became_some.notify_one();
        }
        Some(self.next.fetch_add(1, Ordering::Relaxed))
    }

    pub(crate) fn add(&self, connection: &Arc<ClientConnection>) {
        self.lock().insert(connection.number(), Arc::downgrade(connection));
    }

    /// Frees the place with this number.
    pub(crate) fn remove(&self, number: u64) {
        self.lock().remove(&number);
        self.count.fetch_sub(1, Ordering::SeqCst);
    }

    pub(crate) fn count(&self) -> usize {
        self.count.load(Ordering::SeqCst)
    }

    /// Every open connection at this moment.
    pub(crate) fn all(&self) -> Vec<Arc<ClientConnection>> {
        self.lock().values().filter_map(Weak::upgrade).collect()
    }

    /// Resolves when there is any.
    pub(crate) async fn some(&self) {
        while self.count() == 0 {
            self.became_some.notified().await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<u64, Weak<ClientConnection>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
