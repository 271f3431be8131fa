//! The etcd engine against the suite, each check with an etcd of its own, and what only it has.

mod addresses;
mod ensemble;
mod neighbours;
mod proxy;
mod secured;
mod server;

use std::sync::Arc;

use crate::Store;
use crate::conformance::{Rig, suite};

use super::Etcd;
use server::Server;

/// An etcd of one member, in a temporary directory.
struct Alone(Server);

impl Alone {
    fn new() -> Self {
        let server = Server::new();
        server.start();
        Self(server)
    }
}

impl Rig for Alone {
    async fn open(&self) -> Arc<dyn Store> {
        Arc::new(Etcd::open(self.0.config()).await.unwrap())
    }

    async fn restart(&self, store: Arc<dyn Store>) -> Arc<dyn Store> {
        drop(store);
        self.0.kill();
        self.0.start();
        self.open().await
    }
}

mod conformance {
    use super::{Alone, suite};

    suite!(Alone::new());
}
