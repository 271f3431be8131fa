//! From a directory to a running engine, or a sentence that says why not.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, RwLock};

use redb::{Database, DatabaseError, StorageError};
use thiserror::Error;
use tokio::sync::{Semaphore, watch};

use super::Options;
use super::begin::begin;
use super::data_file::{DataFile, Faults};
use super::engine::{Engine, READS_AT_ONCE};
use super::feed::Feed;
use super::group::Position;
use super::lock_file::{LockFailure, LockFile};
use super::log::{self, Log, log_path};
use super::pins::Pins;
use super::queue::Queue;
use super::tables::FORMAT_VERSION;

/// A data directory that cannot be used.
#[derive(Debug, Error)]
pub enum OpenError {
    /// Somebody has it open.
    #[error("data directory {} is in use{}", directory.display(), by(*holder))]
    InUse {
        /// Which directory.
        directory: PathBuf,
        /// The pid of the holder, if it is known.
        holder: Option<u32>,
    },
    /// A newer program wrote it.
    #[error("{} has format {found}, this program reads formats up to {FORMAT_VERSION}: use the newer program", path.display())]
    NewerFormat {
        /// The data file.
        path: PathBuf,
        /// Its format.
        found: u64,
    },
    /// The directory was in use before, but its data is gone. Starting empty would look as if nothing was wanted.
    #[error("{} is missing or empty though the directory was in use before: restore a backup", path.display())]
    Missing {
        /// The data file.
        path: PathBuf,
    },
    /// The bytes are not what was written.
    #[error("{} is damaged: {detail}", path.display())]
    Damaged {
        /// The data file.
        path: PathBuf,
        /// What does not fit.
        detail: String,
    },
    /// No space to open it with.
    #[error("no space left to open {}", path.display())]
    NoSpace {
        /// The data file.
        path: PathBuf,
    },
    /// The file system did not let us.
    #[error("cannot use {}", path.display())]
    Io {
        /// What was touched.
        path: PathBuf,
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
}

fn by(holder: Option<u32>) -> String {
    holder.map_or_else(String::new, |pid| format!(" by process {pid}"))
}

/// Whether `directory` holds a store, or held one. Opening makes one where there is none.
#[must_use]
pub fn is_store(directory: &Path) -> bool {
    data_path(directory).exists() || marker_path(directory).exists()
}

pub(super) fn data_path(directory: &Path) -> PathBuf {
    directory.join("state.redb")
}

/// Exists once the data file has been complete; says that an empty one is a loss, not a beginning.
pub(super) fn marker_path(directory: &Path) -> PathBuf {
    directory.join("FORMAT")
}

/// An engine without its writer.
pub(super) struct Opened {
    pub(super) engine: Engine,
    pub(super) position: Position,
    pub(super) log: Log,
}

/// Locks the directory, opens and verifies the data file, does again what only the log holds, ends the leases of
/// the process before. Then the log is empty.
pub(super) fn open(directory: &Path, options: Options) -> Result<Opened, OpenError> {
    let lock = lock_directory(directory)?;
    let path = data_path(directory);
    let is_empty = std::fs::metadata(&path).map_or(true, |found| found.len() == 0);
    if is_empty && (marker_path(directory).exists() || log::is_there(directory)) {
        return Err(OpenError::Missing { path });
    }
    let faults = Arc::new(Faults::default());
    let database = open_database(directory, options, &faults)?;
    let begun = begin(&database, directory)?;
    if faults.missing_bytes().is_some() {
        return Err(OpenError::NoSpace { path });
    }
    let log = Log::begin(directory, &faults, begun.epoch, begun.reached.logged + 1, options.log_bytes);
    let log = log.map_err(|source| OpenError::Io { path: log_path(directory), source })?;
    write_marker(directory).map_err(|source| OpenError::Io { path: marker_path(directory), source })?;
    let engine = Engine {
        directory: directory.to_owned(),
        options,
        epoch: begun.epoch,
        faults,
        queue: Queue::new(),
        feed: Feed::new(begun.reached.position.head),
        database: RwLock::new(Some(database)),
        is_ahead: AtomicBool::new(false),
        timers: Mutex::new(begun.timers),
        pins: Mutex::new(Pins::default()),
        reads: Arc::new(Semaphore::new(READS_AT_ONCE)),
        ended: watch::Sender::new(None),
        lock: Mutex::new(Some(lock)),
    };
    Ok(Opened { engine, position: begun.reached.position, log })
}

/// Makes the directory if needed and takes it for this process.
pub(super) fn lock_directory(directory: &Path) -> Result<LockFile, OpenError> {
    let failed = |path: &Path, source| OpenError::Io { path: path.to_owned(), source };
    let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(directory);
    made.map_err(|source| failed(directory, source))?;
    let path = directory.join("LOCK");
    LockFile::acquire(&path).map_err(|failure| match failure {
        LockFailure::Held { holder } => OpenError::InUse { directory: directory.to_owned(), holder },
        LockFailure::Io(source) => failed(&path, source),
    })
}

/// Opens the data file and verifies every checksum in it. It may lack what only the log holds.
pub(super) fn open_database(
    directory: &Path,
    options: Options,
    faults: &Arc<Faults>,
) -> Result<Database, OpenError> {
    let path = data_path(directory);
    let failed = |source| OpenError::Io { path: path.clone(), source };
    let mut open = OpenOptions::new();
    let file =
        open.read(true).write(true).create(true).truncate(false).mode(0o600).open(&path).map_err(failed)?;
    sync_directory(directory).map_err(failed)?;
    let backend = DataFile::new(file, Arc::clone(faults));
    let mut builder = Database::builder();
    builder.set_cache_size(options.cache_bytes).set_check_integrity_on_open(options.verify);
    // Damage that redb did not expect shows as a panic.
    let opened = catch_unwind(AssertUnwindSafe(|| builder.create_with_backend(backend)));
    match opened {
        Ok(Ok(database)) => Ok(database),
        Ok(Err(error)) => Err(explain(path, error, faults)),
        Err(_) => Err(OpenError::Damaged { path, detail: "reading it failed an assertion".to_owned() }),
    }
}

fn explain(path: PathBuf, error: DatabaseError, faults: &Faults) -> OpenError {
    if faults.missing_bytes().is_some() {
        return OpenError::NoSpace { path };
    }
    match error {
        DatabaseError::UpgradeRequired(found) => OpenError::NewerFormat { path, found: found.into() },
        DatabaseError::Storage(StorageError::Io(source))
            if !matches!(source.kind(), io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof) =>
        {
            OpenError::Io { path, source }
        }
        error => OpenError::Damaged { path, detail: error.to_string() },
    }
}

/// Marks the directory as one that holds data.
pub(super) fn write_marker(directory: &Path) -> io::Result<()> {
    let marker = marker_path(directory);
    if marker.exists() {
        return Ok(());
    }
    std::fs::write(&marker, format!("kogge state, format {FORMAT_VERSION}\n"))?;
    File::open(&marker)?.sync_all()?;
    sync_directory(directory)
}

pub(super) fn sync_directory(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}
