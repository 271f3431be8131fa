//! A store whose disk is slow, or whose syncs fail.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use kogge_store::{
    CampaignError, Commit, CommitError, Consistency, Key, Leadership, Lease, LeaseError, LeaseId, Lookup,
    Page, Range, ReadError, Revision, Status, Store, Unavailable, Watch,
};

/// What becomes of writes from now on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// They work.
    Nothing,
    /// Each takes so long until it is safe.
    Slow(Duration),
    /// Each fails when it was written.
    FailsKept,
    /// Each fails before it was written.
    FailsLost,
}

/// A store over another one.
#[derive(Debug)]
pub(crate) struct TroubledStore {
    inner: Arc<dyn Store>,
    /// What, and from which commit on.
    trouble: Mutex<(Trouble, usize)>,
    commits: AtomicUsize,
}

impl TroubledStore {
    pub(crate) fn new(inner: Arc<dyn Store>) -> Self {
        Self { inner, trouble: Mutex::new((Trouble::Nothing, 0)), commits: AtomicUsize::new(0) }
    }

    pub(crate) fn suffer(&self, trouble: Trouble) {
        self.suffer_after(0, trouble);
    }

    /// The next `spared` commits are as they were without trouble.
    pub(crate) fn suffer_after(&self, spared: usize, trouble: Trouble) {
        *self.trouble.lock().unwrap() = (trouble, self.commits() + spared);
    }

    /// How many commits were asked for.
    pub(crate) fn commits(&self) -> usize {
        self.commits.load(Ordering::Relaxed)
    }
}

fn unknown() -> CommitError {
    CommitError::OutcomeUnknown { reason: "the sync failed".into() }
}

impl Store for TroubledStore {
    fn commit(&self, commit: Commit) -> BoxFuture<'_, Result<Revision, CommitError>> {
        let number = self.commits.fetch_add(1, Ordering::Relaxed);
        let (trouble, from) = *self.trouble.lock().unwrap();
        let trouble = if number < from { Trouble::Nothing } else { trouble };
        async move {
            match trouble {
                Trouble::Nothing => self.inner.commit(commit).await,
                Trouble::Slow(time) => {
                    tokio::time::sleep(time).await;
                    self.inner.commit(commit).await
                }
                Trouble::FailsKept => {
                    self.inner.commit(commit).await?;
                    Err(unknown())
                }
                Trouble::FailsLost => Err(unknown()),
            }
        }
        .boxed()
    }

    fn get<'a>(&'a self, key: &'a Key, consistency: Consistency) -> BoxFuture<'a, Result<Lookup, ReadError>> {
        self.inner.get(key, consistency)
    }

    fn range(&self, range: Range) -> BoxFuture<'_, Result<Page, ReadError>> {
        self.inner.range(range)
    }

    fn watch(&self, prefix: Key, from: Revision) -> Watch {
        self.inner.watch(prefix, from)
    }

    fn lease_grant(&self, ttl: Duration) -> BoxFuture<'_, Result<Lease, LeaseError>> {
        self.inner.lease_grant(ttl)
    }

    fn lease_keepalive(&self, lease: LeaseId) -> BoxFuture<'_, Result<Duration, LeaseError>> {
        self.inner.lease_keepalive(lease)
    }

    fn lease_revoke(&self, lease: LeaseId) -> BoxFuture<'_, Result<(), LeaseError>> {
        self.inner.lease_revoke(lease)
    }

    fn campaign<'a>(
        &'a self,
        name: &'a str,
        value: Bytes,
    ) -> BoxFuture<'a, Result<Leadership, CampaignError>> {
        self.inner.campaign(name, value)
    }

    fn compact(&self, before: Revision) -> BoxFuture<'_, Result<(), CommitError>> {
        self.inner.compact(before)
    }

    fn status(&self) -> BoxFuture<'_, Result<Status, ReadError>> {
        self.inner.status()
    }

    fn ended(&self) -> BoxFuture<'static, Unavailable> {
        self.inner.ended()
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        self.inner.close()
    }
}
