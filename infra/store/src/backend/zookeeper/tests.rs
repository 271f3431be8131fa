//! The engine on ZooKeeper against the suite, and what only it has: sessions, members, connections that break.
//!
//! The servers are real ones, from Debian's package `libzookeeper-java`.

mod connections;
mod ensemble;
mod opening;
mod processes;
mod proxy;
mod server;

use std::sync::Arc;

use crate::conformance::{Rig, suite};
use crate::{Commit, Revision, Store};

use super::{Config, Options, ZooKeeper};
use server::shared;

/// A store under a path of its own in the server that all tests share.
struct Chroot(Config);

impl Chroot {
    async fn new() -> Self {
        Self(shared().await.fresh())
    }
}

impl Rig for Chroot {
    async fn open(&self) -> Arc<dyn Store> {
        Arc::new(ZooKeeper::open(&self.0, Options::default()).await.unwrap())
    }
}

mod conformance {
    use super::{Chroot, suite};

    suite!(Chroot::new().await);
}

async fn open(config: &Config) -> ZooKeeper {
    ZooKeeper::open(config, Options::default()).await.unwrap()
}

async fn put(store: &ZooKeeper, key: &str, value: &str) -> Revision {
    store.commit(Commit::new().put(key, value.to_owned())).await.unwrap()
}
