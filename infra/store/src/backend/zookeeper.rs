//! The engine on a ZooKeeper ensemble: any number of processes share one store.
//!
//! ```text
//! callers ──▶ queue (bounded) ──▶ keeper ──▶ one transaction for all that waited ──▶ head + log ─┐
//!    ▲                              │                                                           │ watch
//!    └─────────── answers ◀─────────┤                                     other processes ◀─────┤
//!    watchers ◀── history ◀── copy ◀┴───────────────────── the log, followed ◀──────────────────┘
//! ```
//!
//! ZooKeeper cannot watch from a past, list a prefix or page. So the store is a log of our own: a commit is a
//! transaction that moves the head and creates the next record, and every process keeps a copy of everything in
//! memory by applying the records in order. Lists, lookups and watches are answered from the copy. The values are
//! stored once, in the log, and from time to time in a snapshot; so the largest commit that the trait allows fits
//! into one packet of ZooKeeper's.
//!
//! | promise | how |
//! |---|---|
//! | conditions hold at the commit | they are judged on the copy, and the transaction needs the head that the copy is at |
//! | a lost answer is cleared up | each record names its attempt; after reconnecting it is looked for in the log |
//! | a linearizable read | a write of no meaning goes through the majority first, then the copy catches up |
//! | leases end in one batch | one of the processes, the janitor, judges their time |
//! | a leader's late write is refused | it also checks the leader's ephemeral node |
//!
//! While the ensemble is away, stale reads and lists go on, everything else waits up to two seconds and is then
//! refused at once. An outcome is unknown only if the answer was lost and the ensemble stays away.

mod candidate;
mod catch_up;
mod chance;
mod checkpoint;
mod config;
mod copy;
mod dial;
mod draft;
mod election;
mod engine;
mod follow;
mod head;
mod history;
mod janitor;
mod keeper;
mod layout;
mod open;
mod pins;
mod plan;
mod probe;
mod queue;
mod record;
mod session;
#[cfg(test)]
mod tests;
mod timers;
mod wire;

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::future::{BoxFuture, FutureExt, join_all};

use crate::{
    CampaignError, Commit, CommitError, Consistency, Key, Leadership, Lease, LeaseError, LeaseId, Lookup,
    Page, Range, ReadError, Revision, Status, Store, Unavailable, Watch,
};

use engine::{Engine, PATIENCE, away};
use queue::{Action, Done};
use record::Holder;
use session::{Failure, Link};
use wire::{Code, Op};

pub use config::{Config, ConfigError};
pub use dial::TlsError;
pub use open::OpenError;

/// How much this engine keeps.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Batches that stay readable for watches, in this process.
    pub history_batches: usize,
    /// Size of those batches, in bytes; the oldest go first.
    pub history_bytes: usize,
    /// Log records after which a snapshot is written.
    pub log_records: u64,
    /// Size of the log after which a snapshot is written, in bytes; when the state is larger, that counts.
    pub log_bytes: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self { history_batches: 10_000, history_bytes: 32 << 20, log_records: 20_000, log_bytes: 4 << 20 }
    }
}

impl Options {
    const fn bounds(&self) -> history::Bounds {
        history::Bounds { batches: self.history_batches, bytes: self.history_bytes }
    }
}

/// A store in a ZooKeeper ensemble. Dropping it closes the session, and with it ends what the session held.
#[derive(Debug)]
pub struct ZooKeeper {
    engine: Arc<Engine>,
}

impl ZooKeeper {
    /// Opens the store that the config names, making it if it is not there.
    ///
    /// # Errors
    /// When no member answers within ten seconds, keeps us out, is too old, or holds what this program cannot
    /// read.
    pub async fn open(config: &Config, options: Options) -> Result<Self, OpenError> {
        open::open(config, options).await.map(|engine| Self { engine })
    }
}

impl Drop for ZooKeeper {
    fn drop(&mut self) {
        self.engine.end("the state engine was closed");
        self.engine.tasks.token().cancel();
    }
}

/// For the session to be closed and what else goes on to end.
const FAREWELL: Duration = Duration::from_secs(1);
const TTL_BOUNDS: std::ops::RangeInclusive<Duration> =
    Duration::from_millis(10)..=Duration::from_secs(24 * 3600);
/// A sign of life must have time to reach the janitor.
const SHORTEST_TTL_MS: u64 = 100;

impl Store for ZooKeeper {
    fn close(&self) -> BoxFuture<'_, ()> {
        async {
            self.engine.end("the state engine was closed");
            drop(self.engine.tasks.shutdown(FAREWELL).await);
        }
        .boxed()
    }

    fn get<'a>(&'a self, key: &'a Key, consistency: Consistency) -> BoxFuture<'a, Result<Lookup, ReadError>> {
        async move {
            if consistency == Consistency::Linearizable {
                self.engine.catch_up().await?;
            }
            Ok(self.engine.copy().lookup(key))
        }
        .boxed()
    }

    fn range(&self, range: Range) -> BoxFuture<'_, Result<Page, ReadError>> {
        async move {
            if range.consistency == Consistency::Linearizable && range.at.is_none() {
                self.engine.catch_up().await?;
            }
            let engine = Arc::clone(&self.engine);
            let listed = tokio::task::spawn_blocking(move || engine.page(&range)).await;
            listed.unwrap_or_else(|error| Err(Unavailable::new(format!("a list panicked: {error}")).into()))
        }
        .boxed()
    }

    fn commit(&self, commit: Commit) -> BoxFuture<'_, Result<Revision, CommitError>> {
        async move {
            commit.check()?;
            match self.engine.ask(Action::Commit(commit)).await? {
                Done::At(revision) => Ok(revision),
                _ => unreachable!("a commit is answered with a revision"),
            }
        }
        .boxed()
    }

    fn watch(&self, prefix: Key, from: Revision) -> Watch {
        follow::follow(Arc::clone(&self.engine), prefix, from)
    }

    fn lease_grant(&self, ttl: Duration) -> BoxFuture<'_, Result<Lease, LeaseError>> {
        async move {
            if !TTL_BOUNDS.contains(&ttl) {
                return Err(LeaseError::TtlOutOfBounds { ttl });
            }
            let ttl_ms = u64::try_from(ttl.as_nanos().div_ceil(1_000_000)).expect("the bounds hold");
            let ttl_ms = ttl_ms.max(SHORTEST_TTL_MS);
            match self.engine.ask(Action::Grant { ttl_ms }).await.map_err(as_lease_error)? {
                Done::Lease(id) => Ok(Lease { id, ttl: Duration::from_millis(ttl_ms) }),
                _ => unreachable!("a grant is answered with a lease"),
            }
        }
        .boxed()
    }

    fn lease_keepalive(&self, lease: LeaseId) -> BoxFuture<'_, Result<Duration, LeaseError>> {
        self.engine.keep_alive(lease).boxed()
    }

    fn lease_revoke(&self, lease: LeaseId) -> BoxFuture<'_, Result<(), LeaseError>> {
        async move { self.engine.ask(Action::Revoke(lease)).await.map(|_| ()).map_err(as_lease_error) }
            .boxed()
    }

    fn campaign<'a>(
        &'a self,
        name: &'a str,
        value: Bytes,
    ) -> BoxFuture<'a, Result<Leadership, CampaignError>> {
        election::campaign(&self.engine, name, value).boxed()
    }

    fn compact(&self, before: Revision) -> BoxFuture<'_, Result<(), CommitError>> {
        async move { self.engine.ask(Action::Compact { before }).await.map(|_| ()) }.boxed()
    }

    fn status(&self) -> BoxFuture<'_, Result<Status, ReadError>> {
        async move {
            self.engine.catch_up().await?;
            let leader = self.engine.leading_member().await;
            let head = self.engine.head.borrow().clone();
            let copy = self.engine.copy();
            Ok(Status {
                engine: "zookeeper",
                revision: copy.revision,
                oldest: copy.history.oldest(),
                keys: u64::try_from(copy.len()).expect("lengths fit"),
                disk_bytes: head.record_bytes() + head.snapshot.map_or(0, |at| at.bytes),
                epoch: None,
                leader,
            })
        }
        .boxed()
    }

    fn ended(&self) -> BoxFuture<'static, Unavailable> {
        self.engine.gone().boxed()
    }
}

impl Engine {
    /// A sign of life, whoever granted the lease.
    async fn keep_alive(&self, lease: LeaseId) -> Result<Duration, LeaseError> {
        let not_found = LeaseError::NotFound { lease };
        let ttl = match self.time_of(lease) {
            Some(ttl) => ttl,
            // Another process may have granted it just now.
            None => {
                self.catch_up()
                    .await
                    .map_err(|error| LeaseError::Unavailable(Unavailable::new(error.to_string())))?;
                self.time_of(lease).ok_or_else(|| not_found.clone())?
            }
        };
        let begun = Instant::now();
        loop {
            let touch = Op::SetData { path: self.layout.lease(lease), data: Bytes::new(), version: -1 };
            match self.session.multi(vec![touch]).await {
                Ok(_) => return Ok(ttl),
                Err(Failure::Refused { code: Code::NO_NODE, .. }) => return Err(not_found),
                // A second sign of life does no harm.
                Err(Failure::Away(reason) | Failure::Lost(reason)) => {
                    let left = PATIENCE.saturating_sub(begun.elapsed());
                    let mut link = self.session.link();
                    let back = link.wait_for(|link| !matches!(link, Link::Away { .. }));
                    if left.is_zero() || tokio::time::timeout(left, back).await.is_err() {
                        return Err(LeaseError::Unavailable(away(&reason)));
                    }
                }
                Err(failure) => return Err(LeaseError::Unavailable(Unavailable::new(failure.to_string()))),
            }
        }
    }

    fn time_of(&self, lease: LeaseId) -> Option<Duration> {
        match self.copy().lease(lease)?.holder {
            Holder::Ttl { ttl_ms } => Some(Duration::from_millis(ttl_ms)),
            // It lives as long as its session, with or without signs.
            Holder::Node { .. } => None,
        }
    }

    /// The member that says it leads, if one does.
    async fn leading_member(&self) -> Option<String> {
        if self.hosts.len() < 2 {
            return None;
        }
        let members = join_all(self.hosts.iter().map(|host| probe::ask(&self.dialer, host))).await;
        let leads =
            members.iter().position(|member| member.as_ref().is_some_and(|member| member.is_leader))?;
        Some(self.hosts[leads].to_string())
    }
}

fn as_lease_error(error: CommitError) -> LeaseError {
    match error {
        CommitError::LeaseEnded { lease, .. } => LeaseError::NotFound { lease },
        CommitError::NoSpace => LeaseError::NoSpace,
        CommitError::Unavailable(unavailable) => LeaseError::Unavailable(unavailable),
        CommitError::OutcomeUnknown { reason } => LeaseError::Unavailable(Unavailable { reason }),
        CommitError::Conflict { .. } | CommitError::Refused(_) => unreachable!("leases have no guards"),
    }
}
