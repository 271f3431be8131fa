//! Unused connections to one backend, kept for its next requests.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::shard::{self, SHARDS};
use crate::upstream::connection::UpstreamConnection;

/// Stacks of unused connections, one for each shard of threads. The newest is used first, so surplus ones grow old.
#[derive(Debug)]
pub(crate) struct Pool {
    shards: [Mutex<Vec<Idle>>; SHARDS],
    max_per_shard: usize,
    max_age_ms: u64,
}

#[derive(Debug)]
struct Idle {
    connection: UpstreamConnection,
    since_ms: u64,
    until_ms: u64,
}

impl Pool {
    /// Keeps up to `max_idle` connections for each shard, for `max_age_ms` each. Not fewer: the threads share the work
    /// unevenly, and one that must close what the other one has to open again costs more than a spare connection.
    pub(crate) fn new(max_idle: usize, max_age_ms: u64) -> Self {
        Self { shards: Default::default(), max_per_shard: max_idle.max(1), max_age_ms }
    }

    /// The youngest living connection that is at most `max_idle_ms` old, from this thread's stack or another one.
    pub(crate) fn take(&self, now_ms: u64, max_idle_ms: u64) -> Option<UpstreamConnection> {
        let own = shard::own();
        (own..own + SHARDS).find_map(|at| self.take_from(at % SHARDS, now_ms, max_idle_ms))
    }

    fn take_from(&self, shard: usize, now_ms: u64, max_idle_ms: u64) -> Option<UpstreamConnection> {
        loop {
            let mut idle = {
                let mut stack = self.lock(shard);
                stack.pop_if(|idle| now_ms.saturating_sub(idle.since_ms) <= max_idle_ms)?
            };
            if now_ms < idle.until_ms && idle.connection.is_quiet() {
                return Some(idle.connection);
            }
        }
    }

    /// Keeps `connection`, or closes it when there are enough.
    pub(crate) fn put(&self, connection: UpstreamConnection, now_ms: u64) {
        let max_age_ms = connection.max_idle_ms().map_or(self.max_age_ms, |max| max.min(self.max_age_ms));
        let idle = Idle { connection, since_ms: now_ms, until_ms: now_ms.saturating_add(max_age_ms) };
        let mut stack = self.lock(shard::own());
        if stack.len() < self.max_per_shard {
            stack.push(idle);
        }
    }

    /// Closes everything.
    pub(crate) fn clear(&self) {
        for shard in 0..SHARDS {
            let closed = std::mem::take(&mut *self.lock(shard));
            drop(closed);
        }
    }

    /// Closes what is too old or was closed by the backend; tells how many are left.
    pub(crate) fn sweep(&self, now_ms: u64) -> usize {
        let mut left = 0;
        for shard in 0..SHARDS {
            let mut stack = self.lock(shard);
            stack.retain_mut(|idle| now_ms < idle.until_ms && idle.connection.is_quiet());
            left += stack.len();
        }
        left
    }

    fn lock(&self, shard: usize) -> MutexGuard<'_, Vec<Idle>> {
        self.shards[shard].lock().unwrap_or_else(PoisonError::into_inner)
    }
}
