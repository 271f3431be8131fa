//! Doing again what the log holds and the data file lacks. The same code as the first time does it, and must come
//! to the same batches and revisions: else one of the two files is not what was written.

use std::io;
use std::path::Path;

use redb::WriteTransaction;

use crate::{Commit, Event, Op};

use super::begin::Reached;
use super::group::{Failed, Group};
use super::log::{Change, Record, whole_records};
use super::record::{Malformed, read_batch};

/// A log that does not give what the data file lacks.
#[derive(Debug)]
pub(super) enum RedoError {
    /// There is none.
    Missing,
    /// It is not what was written; says why.
    Damaged(String),
    /// It could not be read.
    Io(io::Error),
    /// The data file failed.
    DataFile(Failed),
}

impl From<Failed> for RedoError {
    fn from(error: Failed) -> Self {
        Self::DataFile(error)
    }
}

/// Brings the tables from `reached` to the end of the log at `path`, which has at least `log_bytes`, written by the
/// opening `epoch`.
pub(super) fn redo(
    txn: &WriteTransaction,
    reached: Reached,
    path: &Path,
    log_bytes: u64,
    epoch: u64,
) -> Result<Reached, RedoError> {
    let log = std::fs::read(path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => RedoError::Missing,
        _ => RedoError::Io(error),
    })?;
    if u64::try_from(log.len()).is_ok_and(|len| len < log_bytes) {
        return Err(RedoError::Damaged(format!("it has {} bytes of {log_bytes}", log.len())));
    }
    let records = whole_records(&log, epoch, reached.logged);
    let records = records.map_err(|damage| RedoError::Damaged(damage.to_string()))?;
    let mut group = Group::begin(txn, reached.position)?;
    for record in &records {
        again(&mut group, record)?;
    }
    let logged = records.last().map_or(reached.logged, |record| record.number);
    group.mark_logged(logged)?;
    if !records.is_empty() {
        tracing::info!(records = records.len(), "state engine did again what only its log held");
    }
    Ok(Reached { position: group.end().position, logged })
}

fn again(group: &mut Group<'_>, record: &Record<'_>) -> Result<(), RedoError> {
    let changes = Change::all(record.payload).map_err(|error| malformed(record, error))?;
    for change in changes {
        let fits = match change {
            Change::Batch(bytes) => {
                commit_again(group, bytes).map_err(|error| malformed(record, error))??
            }
            Change::Grant { lease, ttl_ms } => group.grant(lease, ttl_ms).map(|()| true)?,
            Change::Revoke(lease) => group.revoke(lease)?,
            Change::Compact(before) => group.compact(before).map(|()| true)?,
        };
        if !fits {
            return Err(unfit(record));
        }
    }
    if group.position().head == record.head { Ok(()) } else { Err(unfit(record)) }
}

/// Whether the batch came out as it did the first time.
fn commit_again(group: &mut Group<'_>, bytes: &[u8]) -> Result<Result<bool, Failed>, Malformed> {
    let batch = read_batch(group.position().head.next(), bytes)?;
    let op = |event: &Event| match event.clone() {
        Event::Put(entry) => Op::Put { key: entry.key, value: entry.value, lease: entry.lease },
        Event::Delete { key } => Op::Delete { key },
    };
    let commit = Commit { guards: Vec::new(), ops: batch.events.iter().map(op).collect() };
    Ok(group.commit(commit).map(|_| group.last_batch() == Some(&batch)))
}

fn malformed(record: &Record<'_>, _: Malformed) -> RedoError {
    RedoError::Damaged(format!("record {} is malformed", record.number))
}

fn unfit(record: &Record<'_>) -> RedoError {
    RedoError::Damaged(format!("record {} does not follow from what the data file holds", record.number))
}
