//! The first transaction of a process: the data file gets what only the log holds, and a new epoch.

use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use redb::{Database, ReadableTable, WriteTransaction};
use tokio_util::sync::CancellationToken;

use crate::LeaseId;

use super::group::{Failed, Group, Position};
use super::log::{self, LOG_BYTES, log_path};
use super::open::{OpenError, data_path};
use super::redo::{RedoError, redo};
use super::tables::{EPOCH, FORMAT, FORMAT_VERSION, HISTORY, IN_LOG, LEASES, LOGGED, META, make_all, span};
use super::timers::Timers;

/// What is in the tables.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reached {
    pub(super) position: Position,
    /// The last record of the log.
    pub(super) logged: u64,
}

/// A store that may now be written to.
pub(super) struct Begun {
    pub(super) epoch: u64,
    pub(super) reached: Reached,
    pub(super) timers: Timers,
}

/// Why it did not begin.
enum Failure {
    Newer { found: u64 },
    NoLog(io::Error),
    Redo(RedoError),
    DataFile(Failed),
}

impl From<Failed> for Failure {
    fn from(error: Failed) -> Self {
        Self::DataFile(error)
    }
}

impl Failure {
    fn explain(self, directory: &Path) -> OpenError {
        let (data, log) = (data_path(directory), log_path(directory));
        match self {
            Self::Newer { found } => OpenError::NewerFormat { path: data, found },
            Self::NoLog(error) if error.kind() == io::ErrorKind::StorageFull => {
                OpenError::NoSpace { path: log }
            }
            Self::NoLog(source) | Self::Redo(RedoError::Io(source)) => OpenError::Io { path: log, source },
            Self::Redo(RedoError::Missing) => OpenError::Missing { path: log },
            Self::Redo(RedoError::Damaged(detail)) => OpenError::Damaged { path: log, detail },
            Self::Redo(RedoError::DataFile(error)) | Self::DataFile(error) => {
                OpenError::Damaged { path: data, detail: error.to_string() }
            }
        }
    }
}

/// Checks the format, does again what only the log holds, counts the epoch, ends leases that lived only as long as
/// the process before, and gives all others their full time again. All of it in one durable commit; only then may
/// the log be written over.
pub(super) fn begin(database: &Database, directory: &Path) -> Result<Begun, OpenError> {
    let begun = || -> Result<Begun, Failure> {
        let txn = database.begin_write().map_err(Failed::from)?;
        make_all(&txn)?;
        let format = number(&txn, FORMAT)?.unwrap_or(FORMAT_VERSION);
        if format > FORMAT_VERSION {
            return Err(Failure::Newer { found: format });
        }
        let mut reached = bring_up(&txn, directory)?;
        log::make(directory).map_err(Failure::NoLog)?;
        let epoch = number(&txn, EPOCH)?.unwrap_or(0) + 1;
        set(&txn, &[(FORMAT, FORMAT_VERSION), (EPOCH, epoch), (IN_LOG, LOG_BYTES)])?;
        let mut timers = Timers::default();
        for (lease, ttl_ms) in leases_of(&txn)? {
            if ttl_ms > 0 {
                let ttl = Some(Duration::from_millis(ttl_ms));
                timers.insert(lease, ttl, CancellationToken::new(), Instant::now());
                continue;
            }
            let mut group = Group::begin(&txn, reached.position)?;
            group.revoke(lease)?;
            reached.position = group.end().position;
        }
        txn.commit().map_err(Failed::from)?;
        Ok(Begun { epoch, reached, timers })
    };
    begun().map_err(|failure| failure.explain(directory))
}

/// The same for a data file that this process opened anew: it only gets what the log holds.
pub(super) fn catch_up(database: &Database, directory: &Path) -> Result<Reached, OpenError> {
    let caught_up = || -> Result<Reached, Failure> {
        let txn = database.begin_write().map_err(Failed::from)?;
        let reached = bring_up(&txn, directory)?;
        txn.commit().map_err(Failed::from)?;
        Ok(reached)
    };
    caught_up().map_err(|failure| failure.explain(directory))
}

fn bring_up(txn: &WriteTransaction, directory: &Path) -> Result<Reached, Failure> {
    let reached = Reached { position: position_of(txn)?, logged: number(txn, LOGGED)?.unwrap_or(0) };
    match number(txn, IN_LOG)?.unwrap_or(0) {
        0 => Ok(reached),
        log_bytes => {
            let epoch = number(txn, EPOCH)?.unwrap_or(0);
            redo(txn, reached, &log_path(directory), log_bytes, epoch).map_err(Failure::Redo)
        }
    }
}

/// Sets numbers of [`META`].
pub(super) fn set(txn: &WriteTransaction, numbers: &[(&str, u64)]) -> Result<(), Failed> {
    let mut meta = txn.open_table(META)?;
    for (name, number) in numbers {
        meta.insert(name, number)?;
    }
    Ok(())
}

fn number(txn: &WriteTransaction, name: &str) -> Result<Option<u64>, Failed> {
    Ok(txn.open_table(META)?.get(name)?.map(|number| number.value()))
}

fn position_of(txn: &WriteTransaction) -> Result<Position, Failed> {
    let history = txn.open_table(HISTORY)?;
    let mut history_bytes = 0;
    for row in history.iter()? {
        history_bytes += u64::try_from(row?.1.value().len()).expect("lengths fit");
    }
    Ok(Position { head: span(&history, &txn.open_table(META)?)?.head, history_bytes })
}

fn leases_of(txn: &WriteTransaction) -> Result<Vec<(LeaseId, u64)>, Failed> {
    let mut all = Vec::new();
    for row in txn.open_table(LEASES)?.iter()? {
        let (lease, ttl_ms) = row?;
        all.push((LeaseId::new(lease.value()), ttl_ms.value()));
    }
    Ok(all)
}
