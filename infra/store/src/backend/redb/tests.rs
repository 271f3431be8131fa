//! The embedded engine against the suite, and what only it has: files, disks, locks.

mod damage;
mod faults;
mod model;
mod restores;

use std::sync::Arc;

use crate::conformance::{Rig, suite};
use crate::{Commit, Store};

use super::{Embedded, Options};

/// A store in a temporary directory.
struct Directory(tempfile::TempDir);

impl Directory {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }
}

impl Rig for Directory {
    async fn open(&self) -> Arc<dyn Store> {
        Arc::new(Embedded::open(self.0.path(), Options::default()).await.unwrap())
    }
}

mod conformance {
    use super::{Directory, suite};

    suite!(Directory::new());
}

async fn put(store: &Embedded, key: &str, value: impl Into<bytes::Bytes>) {
    store.commit(Commit::new().put(key, value)).await.unwrap();
}
