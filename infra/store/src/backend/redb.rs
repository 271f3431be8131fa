//! The embedded engine: one directory, one process, no other program.
//!
//! ```text
//! callers ──▶ queue (bounded) ──▶ writer thread ──▶ 1. one record for all that waited ──▶ log, synced
//!    ▲                                 │        └─▶ 2. one commit, not synced ──────────▶ data file
//!    └───────────── answers ◀──────────┤                                                     │
//!    watchers ◀── tail of batches ◀────┘           reads, lists, older batches ◀─────────────┘
//! ```
//!
//! | file | what |
//! |---|---|
//! | `LOCK` | held by the one process that has the directory, names its pid |
//! | `FORMAT` | says that the directory has held data |
//! | `state.log` | the newest groups, each one record; of fixed length (module `log`) |
//! | `state.redb` | keys, the newest batches, leases |
//!
//! The log is what makes a write durable: one contiguous write, where a commit of the data file writes pages in
//! many places. The data file is synced by a checkpoint: when the log is full, a moment after the last write, and
//! when the store is closed; then the log starts again. After a crash the data file shows some checkpoint, and what
//! came after is done again from the log (module `redo`) before anything is read.
//!
//! | this line dies | what opening finds |
//! |---|---|
//! | before the record is synced | a torn record at the end, which nobody was told of: dropped |
//! | after that, before the answer | the group, as if it had been answered |
//! | in a checkpoint | the data file before it, the whole log |
//! | between a checkpoint and the next record | the data file after it, a log of records that it contains already |
//!
//! A killed process loses nothing acknowledged and leaves nothing half done. A failed sync ends the engine: the
//! kernel may have dropped the pages. A full disk refuses writes and goes on reading: the log has its blocks, and
//! what the data file lacks stays in memory (module `spill`). Idle, it uses no processor: the writer sleeps
//! until a request comes, a lease is due, or for that moment before a checkpoint.

mod begin;
mod checkpoint;
mod data_file;
mod election;
mod engine;
mod feed;
mod follow;
mod group;
mod lock_file;
mod log;
mod open;
mod owners;
mod pins;
mod queue;
mod read;
mod record;
mod redo;
mod spill;
mod tables;
#[cfg(test)]
mod tests;
mod timers;
mod writer;

use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::{BoxFuture, FutureExt};
use tokio_util::sync::CancellationToken;

use crate::{
    CampaignError, Commit, CommitError, Consistency, Key, Leadership, Lease, LeaseError, LeaseId, Lookup,
    Page, Range, ReadError, Revision, Status, Store, Unavailable, Watch,
};

use engine::Engine;
use group::HistoryBounds;
use queue::{Action, Done};
use writer::Writer;

pub use open::{OpenError, is_store};

/// How much the embedded engine may take.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Memory for pages of the data file, in bytes.
    pub cache_bytes: usize,
    /// Batches that stay readable for watches; a few hundred more may stay.
    pub history_batches: u64,
    /// Size of those batches, in bytes; the oldest go first.
    pub history_bytes: u64,
    /// Bytes in the log after which the data file is synced: what a crash leaves to be done again. At most 8 MiB.
    pub log_bytes: u64,
    /// Whether opening reads the whole file and verifies every checksum (1 GB takes some seconds).
    pub verify: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            cache_bytes: 4 << 20,
            history_batches: 10_000,
            history_bytes: 256 << 20,
            log_bytes: log::LOG_BYTES,
            verify: true,
        }
    }
}

/// A store in a directory of its own. Dropping it closes it, after everything handed over is answered.
#[derive(Debug)]
pub struct Embedded {
    engine: Arc<Engine>,
    writer: Option<JoinHandle<()>>,
}

impl Embedded {
    /// Opens the store in `directory`, making it if it is not there.
    ///
    /// # Errors
    /// When the directory is in use, damaged, newer than this program, or not accessible.
    pub async fn open(directory: &Path, options: Options) -> Result<Self, OpenError> {
        let path = directory.to_owned();
        let opened = tokio::task::spawn_blocking(move || Self::open_here(&path, options)).await;
        opened.unwrap_or_else(|error| {
            let detail = format!("opening it panicked: {error}");
            Err(OpenError::Damaged { path: directory.to_owned(), detail })
        })
    }

    fn open_here(directory: &Path, options: Options) -> Result<Self, OpenError> {
        let opened = open::open(directory, options)?;
        let engine = Arc::new(opened.engine);
        let writer = Writer {
            engine: Arc::clone(&engine),
            bounds: HistoryBounds { batches: options.history_batches.max(1), bytes: options.history_bytes },
            position: opened.position,
            log: opened.log,
            rest_at: None,
            leases_granted: 0,
            open: None,
        };
        let thread = std::thread::Builder::new().name("store-writer".to_owned()).spawn(move || writer.run());
        let writer = thread.map_err(|source| OpenError::Io { path: directory.to_owned(), source })?;
        Ok(Self { engine, writer: Some(writer) })
    }
}

impl Drop for Embedded {
    fn drop(&mut self) {
        self.engine.queue.close();
        if let Some(writer) = self.writer.take() {
            // It has reported its own panic already.
            let _ = writer.join();
        }
    }
}

const TTL_BOUNDS: std::ops::RangeInclusive<Duration> =
    Duration::from_millis(10)..=Duration::from_secs(24 * 3600);

impl Store for Embedded {
    fn close(&self) -> BoxFuture<'_, ()> {
        self.engine.queue.close();
        self.ended().map(drop).boxed()
    }

    fn get<'a>(&'a self, key: &'a Key, _: Consistency) -> BoxFuture<'a, Result<Lookup, ReadError>> {
        let key = key.clone();
        self.engine.on_pool(move |engine| engine.lookup(&key)).boxed()
    }

    fn range(&self, range: Range) -> BoxFuture<'_, Result<Page, ReadError>> {
        self.engine.on_pool(move |engine| engine.page(&range)).boxed()
    }

    fn commit(&self, commit: Commit) -> BoxFuture<'_, Result<Revision, CommitError>> {
        async move {
            commit.check()?;
            match self.engine.ask(Action::Commit(commit)).await? {
                Done::At(revision) => Ok(revision),
                Done::Granted(_) => unreachable!("a commit is answered with a revision"),
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
            let grant = Action::Grant { ttl_ms: Some(ttl_ms), lost: CancellationToken::new() };
            match self.engine.ask(grant).await.map_err(as_lease_error)? {
                Done::Granted(id) => Ok(Lease { id, ttl: Duration::from_millis(ttl_ms) }),
                Done::At(_) => unreachable!("a grant is answered with a lease"),
            }
        }
        .boxed()
    }

    fn lease_keepalive(&self, lease: LeaseId) -> BoxFuture<'_, Result<Duration, LeaseError>> {
        async move {
            if self.engine.ended.borrow().is_some() {
                return Err(LeaseError::Unavailable(self.engine.why_unavailable()));
            }
            let alive = self.engine.timers().keep_alive(lease, std::time::Instant::now());
            alive.ok_or(LeaseError::NotFound { lease })
        }
        .boxed()
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
        self.engine.on_pool(Engine::state).boxed()
    }

    fn ended(&self) -> BoxFuture<'static, Unavailable> {
        let mut ended = self.engine.ended.subscribe();
        async move {
            let reason = ended.wait_for(Option::is_some).await;
            reason
                .map_or_else(|_| None, |reason| reason.clone())
                .unwrap_or_else(|| Unavailable::new("it is gone"))
        }
        .boxed()
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
