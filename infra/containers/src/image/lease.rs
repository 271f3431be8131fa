//! What is in use right now, so that collection leaves it alone.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use kogge_model::digest::Digest;

/// Counts the users of each digest: blobs, layers and manifests alike.
#[derive(Debug, Clone, Default)]
pub(crate) struct Leases {
    held: Arc<Mutex<BTreeMap<Digest, usize>>>,
}

/// Keeps some digests from being collected until it is dropped.
#[derive(Debug)]
pub struct Lease {
    leases: Leases,
    digests: Vec<Digest>,
}

impl Leases {
    /// An empty lease; take it before looking whether something is there, not after.
    pub(crate) fn lease(&self) -> Lease {
        Lease { leases: self.clone(), digests: Vec::new() }
    }

    /// Runs `take` unless someone holds `digest`; nobody can begin to while it runs.
    pub(crate) fn unless_held<T>(&self, digest: &Digest, take: impl FnOnce() -> T) -> Option<T> {
        let held = self.lock();
        if held.contains_key(digest) { None } else { Some(take()) }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Digest, usize>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lease {
    pub(crate) fn add(&mut self, digest: Digest) {
        *self.leases.lock().entry(digest).or_insert(0) += 1;
        self.digests.push(digest);
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let mut held = self.leases.lock();
        for digest in &self.digests {
            let count = held.get_mut(digest).expect("a lease has counted each of its digests");
            *count -= 1;
            if *count == 0 {
                held.remove(digest);
            }
        }
    }
}
