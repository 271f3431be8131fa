//! From a snapshot to a data directory.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use redb::Database;
use thiserror::Error;

use crate::Revision;
use crate::snapshot::{ReadSnapshotError, Reader, Summary};

use super::Options;
use super::data_file::Faults;
use super::group::Failed;
use super::log;
use super::open::{
    OpenError, data_path, lock_directory, marker_path, open_database, set_base, sync_directory, write_marker,
};
use super::record::{self, Numbers};
use super::tables::KEYS;

/// Added to the snapshot's revision. More commits than this may not have happened after the backup, so that no
/// revision that a client still remembers from then is handed out again for something else.
pub const REVISION_LEAP: u64 = 1 << 32;

/// Entries in one transaction of the restore.
const STEP: usize = 1000;

/// A restore that did not happen; the directory is as it was.
#[derive(Debug, Error)]
pub enum RestoreError {
    /// There is a store already.
    #[error("{} holds a store already", directory.display())]
    NotEmpty {
        /// Where.
        directory: PathBuf,
    },
    /// The directory cannot be used.
    #[error("cannot prepare the data directory")]
    Directory(#[from] OpenError),
    /// The snapshot cannot be used.
    #[error("cannot use the snapshot")]
    Snapshot(#[from] ReadSnapshotError),
    /// The new data file could not be written.
    #[error("cannot write the new data file: {detail}")]
    Write {
        /// What failed.
        detail: String,
    },
}

/// Makes a store in `directory` out of a snapshot. Its entries keep their revisions; the store's own revision
/// leaps ahead by [`REVISION_LEAP`], and no history is left, so that every copy made before the restore is
/// told to list again. Blocks.
///
/// # Errors
/// When the directory holds a store, or the snapshot is not whole: then nothing is left behind.
pub fn restore(directory: &Path, source: impl Read) -> Result<Summary, RestoreError> {
    let _lock = lock_directory(directory)?;
    if data_path(directory).exists() || marker_path(directory).exists() || log::is_there(directory) {
        return Err(RestoreError::NotEmpty { directory: directory.to_owned() });
    }
    let mut reader = Reader::new(source)?;
    // Complete in a directory of its own, then moved: a half-written one is never taken for a store.
    let part = directory.join("restoring");
    let failed = |error: std::io::Error| RestoreError::Write { detail: error.to_string() };
    let _ = std::fs::remove_dir_all(&part);
    std::fs::create_dir(&part).map_err(failed)?;
    let filled = fill(&part, &mut reader);
    let moved = filled.and_then(|entries| {
        std::fs::rename(data_path(&part), data_path(directory)).map_err(failed)?;
        sync_directory(directory).and_then(|()| write_marker(directory)).map_err(failed)?;
        Ok(Summary { revision: Revision::new(reader.revision().get() + REVISION_LEAP), entries })
    });
    let _ = std::fs::remove_dir_all(&part);
    moved
}

fn fill<R: Read>(part: &Path, reader: &mut Reader<R>) -> Result<u64, RestoreError> {
    let database = open_database(part, Options::default(), &Arc::new(Faults::default()))?;
    let failed = |error: Failed| RestoreError::Write { detail: error.to_string() };
    let mut entries = 0;
    while let Some(step) = read_step(reader)? {
        entries += u64::try_from(step.len()).expect("lengths fit");
        put_all(&database, &step).map_err(failed)?;
    }
    let finish = || -> Result<(), Failed> {
        let txn = database.begin_write()?;
        set_base(&txn, Revision::new(reader.revision().get() + REVISION_LEAP))?;
        txn.commit()?;
        Ok(())
    };
    finish().map_err(failed)?;
    database.close().map_err(|error| RestoreError::Write { detail: error.to_string() })?;
    Ok(entries)
}

/// The next entries; `None` once the verified end is reached.
fn read_step<R: Read>(reader: &mut Reader<R>) -> Result<Option<Vec<crate::Entry>>, RestoreError> {
    let mut step = Vec::new();
    while step.len() < STEP {
        match reader.next_entry()? {
            Some(entry) => step.push(entry),
            None if step.is_empty() => return Ok(None),
            None => break,
        }
    }
    Ok(Some(step))
}

fn put_all(database: &Database, entries: &[crate::Entry]) -> Result<(), Failed> {
    let txn = database.begin_write()?;
    {
        let mut keys = txn.open_table(KEYS)?;
        for entry in entries {
            let numbers = Numbers {
                created: entry.created,
                modified: entry.modified,
                version: entry.version,
                lease: None,
            };
            let mut place = keys.insert_reserve(&entry.key[..], record::entry_len(&entry.value))?;
            record::write_entry(place.as_mut(), &numbers, &entry.value);
        }
    }
    txn.commit()?;
    Ok(())
}
