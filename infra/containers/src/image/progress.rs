//! How far an image that comes over the network has come.

use std::sync::atomic::{AtomicU64, Ordering};

use kogge_model::resources::Bytes;

/// Of one fetch, or of one after the other. Whoever waits reads it while the fetch goes on.
#[derive(Debug, Default)]
pub struct FetchProgress {
    here: AtomicU64,
    wanted: AtomicU64,
}

impl FetchProgress {
    /// So much is to come; what came before is not counted.
    pub(crate) fn begin(&self, wanted: u64) {
        self.here.store(0, Ordering::Relaxed);
        self.wanted.store(wanted, Ordering::Relaxed);
    }

    pub(crate) fn add(&self, bytes: usize) {
        self.here.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// What has come, and what is to come in all; none while that is not known, or after all has come.
    #[must_use]
    pub fn share(&self) -> Option<(Bytes, Bytes)> {
        let (here, wanted) = (self.here.load(Ordering::Relaxed), self.wanted.load(Ordering::Relaxed));
        (here < wanted).then_some((Bytes(here), Bytes(wanted)))
    }
}
