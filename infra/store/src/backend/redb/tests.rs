//! The embedded engine against the suite, and what only it has: files, disks, locks.

mod damage;
mod faults;
mod logs;
mod model;

use std::path::Path;
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

/// What a crash now would leave behind. The data file first: no checkpoint makes it need less of the log.
fn crash_image(of: &Path) -> Directory {
    let image = Directory::new();
    for name in ["FORMAT", "state.redb", "state.log"] {
        std::fs::copy(of.join(name), image.0.path().join(name)).unwrap();
    }
    image
}

async fn put(store: &Embedded, key: &str, value: impl Into<bytes::Bytes>) {
    store.commit(Commit::new().put(key, value)).await.unwrap();
}
