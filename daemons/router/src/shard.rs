//! Which shard of a shared structure the current thread should use.

use std::sync::atomic::{AtomicUsize, Ordering};

/// Shards of everything that is split by thread. More than threads of the runtime would only cost memory, fewer
/// make threads meet; either is correct.
pub(crate) const SHARDS: usize = 8;

static NEXT: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    static OWN: usize = NEXT.fetch_add(1, Ordering::Relaxed) % SHARDS;
}

/// This thread's shard, below [`SHARDS`].
pub(crate) fn own() -> usize {
    OWN.with(|shard| *shard)
}
