//! The engine for clouds with several servers: an etcd cluster, whose majority holds the state.
//!
//! ```text
//! get · range · commit · lease ──▶ link ──▶ connection ──▶ member ─┐
//!                                   │  └─ fails: the next member   ├─ etcd: one agrees with the others, then answers
//! watch ──▶ feed of its own ────────┴───▶ connection ──▶ member ───┘
//! ```
//!
//! | ours | etcd's |
//! |---|---|
//! | revision | store revision: shared by all clouds and others in one etcd, so there may be gaps between ours |
//! | commit | one transaction: guards are compares |
//! | lease | lease, in whole seconds, at least one and a half of etcd's election timeout |
//! | leader, fence | who created the election's record under a lease; its create revision |
//!
//! A member that dies costs a reconnect. Without a majority nothing is written: requests fail after the deadline, then
//! at once, until etcd is back. A write whose answer is lost is reported as of unknown outcome, never repeated.
//! Compaction of history concerns the whole etcd: whoever leads lets it forget what is older than some minutes, or was
//! followed by a quarter of a GiB, or the history would fill etcd's quota, after which nothing can be written. How far the store is in batches of others is told as rarely as etcd
//! says it (`--experimental-watch-progress-notify-interval`, ten minutes by default).

mod address;
mod batches;
mod config;
mod connection;
mod election;
mod follow;
mod greeting;
mod history;
mod keyspace;
mod leases;
mod line;
mod link;
mod members;
mod open;
mod read;
#[cfg(test)]
mod tests;
mod tls;
mod token;
mod transaction;
mod tries;
mod verdict;
mod wire;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::{BoxFuture, FutureExt};
use kogge_host::tasks::OnPanic;
use tokio::time::Instant;

use crate::{
    CampaignError, Commit, CommitError, Consistency, Key, Leadership, Lease, LeaseError, LeaseId, Lookup,
    Page, Range, ReadError, Revision, Status, Store, Unavailable, Watch,
};

use history::History;
use keyspace::Keyspace;
use link::Link;

pub use address::{AddressError, AddressFault};
pub use config::{ClientFiles, Config, Endpoint, TlsFiles, User};
pub use greeting::Stranger;
pub use open::OpenError;
pub use tls::TlsError;

/// A cloud's part of an etcd. Dropping it ends its watches and connections. Leaders that resigned before still do; the leases of
/// others end by themselves.
#[derive(Debug)]
pub struct Etcd {
    link: Arc<Link>,
    keys: Keyspace,
    history: Arc<History>,
}

impl Etcd {
    /// Meets etcd: it must answer, be new enough, know the user and have a leader.
    ///
    /// # Errors
    /// With what is wrong in one sentence, within the request deadline (twice that if a member answers but cannot
    /// agree with the others).
    pub async fn open(config: Config) -> Result<Self, OpenError> {
        let (link, keys) = open::open(config).await?;
        link.tasks.spawn("growth of etcd", OnPanic::Log, history::observe(Arc::clone(&link)));
        Ok(Self { link, keys, history: Arc::default() })
    }
}

impl Drop for Etcd {
    fn drop(&mut self) {
        self.link.close();
    }
}

impl Store for Etcd {
    fn close(&self) -> BoxFuture<'_, ()> {
        self.link.close();
        self.link.closed().boxed()
    }

    fn get<'a>(&'a self, key: &'a Key, consistency: Consistency) -> BoxFuture<'a, Result<Lookup, ReadError>> {
        read::get(&self.link, &self.keys, key, consistency).boxed()
    }

    fn range(&self, range: Range) -> BoxFuture<'_, Result<Page, ReadError>> {
        async move { read::range(&self.link, &self.keys, &range).await }.boxed()
    }

    fn commit(&self, commit: Commit) -> BoxFuture<'_, Result<Revision, CommitError>> {
        async move {
            commit.check()?;
            transaction::commit(&self.link, &self.keys, &commit).await
        }
        .boxed()
    }

    fn watch(&self, prefix: Key, from: Revision) -> Watch {
        follow::follow(Arc::clone(&self.link), Arc::clone(&self.history), self.keys.clone(), prefix, from)
    }

    fn lease_grant(&self, ttl: Duration) -> BoxFuture<'_, Result<Lease, LeaseError>> {
        leases::grant(&self.link, ttl).boxed()
    }

    fn lease_keepalive(&self, lease: LeaseId) -> BoxFuture<'_, Result<Duration, LeaseError>> {
        let deadline = Instant::now() + self.link.config.request_deadline;
        leases::keep_alive(&self.link, lease, deadline).boxed()
    }

    fn lease_revoke(&self, lease: LeaseId) -> BoxFuture<'_, Result<(), LeaseError>> {
        leases::revoke(&self.link, lease).boxed()
    }

    fn campaign<'a>(
        &'a self,
        name: &'a str,
        value: Bytes,
    ) -> BoxFuture<'a, Result<Leadership, CampaignError>> {
        election::campaign(&self.link, &self.keys, name, value).boxed()
    }

    fn compact(&self, before: Revision) -> BoxFuture<'_, Result<(), CommitError>> {
        history::compact(&self.link, &self.keys, before).boxed()
    }

    fn status(&self) -> BoxFuture<'_, Result<Status, ReadError>> {
        read::status(&self.link, &self.keys, &self.history).boxed()
    }

    fn ended(&self) -> BoxFuture<'static, Unavailable> {
        let token = self.link.tasks.token();
        async move {
            token.cancelled().await;
            Unavailable::new("the state engine was closed")
        }
        .boxed()
    }
}
