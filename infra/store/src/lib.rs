//! Versioned keys, guarded transactions, watch and leases.
//!
//! Owns the one trait behind which a state engine stands, its words, and the engines. Refuses to know what the
//! keys mean: values are bytes, keys are bytes in byte order.
//!
//! ```text
//!   commit(guards, ops) ──▶ engine ──▶ revision n ──▶ watch(prefix, from) ──▶ local copy ──▶ readers
//!                             │                            │
//!        get / range ◀────────┘            Compacted ──────┘ list again, then watch from the list's revision + 1
//! ```
//!
//! The shape that callers are meant to take: one in-memory copy per process, filled by [`Store::range`], kept
//! by [`Store::watch`]. Readers look only at the copy. Writers go through [`Store::commit`] and answer once the
//! copy has reached the write's revision; then they read their own writes, and no reader ever waits for the
//! engine.
//!
//! | promise | how |
//! |---|---|
//! | an acknowledged write is on disk (G1) | the answer comes after the sync |
//! | a conditional write applies to exactly that version, or conflicts (G2) | [`Guard`] |
//! | a watch sees each change once and in order, or is told to list again (G3) | [`Change::Compacted`] |
//! | only the leader's writes apply | [`Leadership::guard`] in each of them |
//!
//! Start reading at [`Store`], then at [`backend::redb`], the engine that needs no other program, and
//! [`backend::etcd`] or [`backend::zookeeper`], those for clouds with several servers.

pub mod backend;
mod commit;
#[cfg(test)]
mod conformance;
mod entry;
mod error;
pub mod import;
mod key;
mod leadership;
mod lease;
mod range;
mod revision;
mod sieve;
pub mod snapshot;
mod status;
mod watch;

use std::fmt::Debug;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;

pub use commit::{
    Commit, Guard, MAX_COMMIT_BYTES, MAX_COMMIT_OPS, MAX_KEY_BYTES, MAX_VALUE_BYTES, Op, Refusal,
};
pub use entry::{Batch, Entry, Event};
pub use error::{CampaignError, CommitError, LeaseError, ReadError, Unavailable};
pub use key::Key;
pub use leadership::Leadership;
pub use lease::{Lease, LeaseId};
pub use range::{Consistency, Lookup, Page, Range};
pub use revision::Revision;
pub use status::Status;
pub use watch::{Change, Watch};

/// A state engine. Shared as `Arc<dyn Store>`.
///
/// Every method must be called inside a tokio runtime. Dropping a future of a write does not undo the write.
pub trait Store: Debug + Send + Sync + 'static {
    /// The entry under `key`, with the revision at which it was looked up.
    ///
    /// # Errors
    /// [`ReadError::Unavailable`] when the engine cannot answer.
    fn get<'a>(&'a self, key: &'a Key, consistency: Consistency) -> BoxFuture<'a, Result<Lookup, ReadError>>;

    /// The entries under a prefix in byte order of their keys, at one revision, page by page.
    ///
    /// # Errors
    /// [`ReadError::Compacted`] when the revision asked for is gone: start again from the first page.
    fn range(&self, range: Range) -> BoxFuture<'_, Result<Page, ReadError>>;

    /// Applies all operations if all guards hold, else none. Answers after the write is durable; everything in
    /// it has the answered revision. A commit that changes nothing answers the current revision.
    ///
    /// # Errors
    /// [`CommitError::Conflict`] names the first guard that did not hold. After [`CommitError::OutcomeUnknown`]
    /// read back before trying again.
    fn commit(&self, commit: Commit) -> BoxFuture<'_, Result<Revision, CommitError>>;

    /// Every batch that touches `prefix`, from revision `from` (usually the seen one + 1) on, once and in order.
    /// An empty prefix matches every key.
    ///
    /// The stream is pulled: it holds no queue, so a slow reader costs nothing until the history it still needs
    /// is dropped; then it gets [`Change::Compacted`] and ends. A `from` beyond the next revision is answered
    /// the same way: the reader has seen a past that this engine does not have.
    fn watch(&self, prefix: Key, from: Revision) -> Watch;

    /// A lease that ends `ttl` after the last sign of life. Engines may raise a small `ttl`.
    ///
    /// # Errors
    /// [`LeaseError::TtlOutOfBounds`], or when the engine cannot answer.
    fn lease_grant(&self, ttl: Duration) -> BoxFuture<'_, Result<Lease, LeaseError>>;

    /// A sign of life: the lease has its full TTL again, which is answered.
    ///
    /// # Errors
    /// [`LeaseError::NotFound`] when it has ended.
    fn lease_keepalive(&self, lease: LeaseId) -> BoxFuture<'_, Result<Duration, LeaseError>>;

    /// Ends the lease and deletes its keys, in one batch.
    ///
    /// # Errors
    /// [`LeaseError::NotFound`] when it has ended already.
    fn lease_revoke(&self, lease: LeaseId) -> BoxFuture<'_, Result<(), LeaseError>>;

    /// Waits until this caller leads the election `name`; `value` says who leads to those who look.
    ///
    /// # Errors
    /// When the name or value is out of bounds or the engine cannot answer.
    fn campaign<'a>(
        &'a self,
        name: &'a str,
        value: Bytes,
    ) -> BoxFuture<'a, Result<Leadership, CampaignError>>;

    /// Drops history below `before`: watches that need it get [`Change::Compacted`].
    ///
    /// # Errors
    /// When the engine cannot write.
    fn compact(&self, before: Revision) -> BoxFuture<'_, Result<(), CommitError>>;

    /// Where the engine stands and how big it is.
    ///
    /// # Errors
    /// When the engine cannot answer.
    fn status(&self) -> BoxFuture<'_, Result<Status, ReadError>>;

    /// Resolves, with the reason, when the engine has ended for good in this process: it was closed, or it met a
    /// fault after which it must not go on (a sync that failed). Who cannot work without it should then stop.
    fn ended(&self) -> BoxFuture<'static, Unavailable>;

    /// Says good-bye to the engine, and waits until it has heard it, a second or so at most: what this process held
    /// there, others may have at once, and nobody waits in line behind it. Afterwards nothing works any more. Who is
    /// only dropped says it as well, as long as the threads live on that it was opened on.
    fn close(&self) -> BoxFuture<'_, ()>;
}
