//! Logs as they grow, without polling: the kernel tells when a directory's files change (inotify(7)).

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::fs::inotify;
use tokio::net::unix::pipe::Receiver;

use crate::merge::{MergedLogs, SourcedEntry};
use crate::reader::LogStart;

/// How many entries a batch has at most.
const BATCH_ENTRIES: usize = 1_024;

/// Room for the kernel's notes; more notes take more rounds.
const NOTE_BYTES: usize = 4 * 1024;

/// What the reading threads share with the follower.
#[derive(Debug, Default)]
struct Shared {
    logs: MergedLogs,
    /// Read, but not given out yet: whoever asked for it did not wait.
    ready: Vec<SourcedEntry>,
}

/// Follows several logs with one inotify instance (the kernel allows few).
#[derive(Debug)]
pub struct LogFollower {
    shared: Arc<Mutex<Shared>>,
    /// The inotify instance, which is read like a pipe.
    notes: Receiver,
    /// Watch descriptors by source.
    watches: BTreeMap<String, i32>,
}

impl LogFollower {
    /// Follows nothing yet.
    ///
    /// # Errors
    /// When the kernel has no inotify instance left, or outside a tokio runtime.
    pub fn new() -> io::Result<Self> {
        let notes = inotify::init(inotify::CreateFlags::CLOEXEC | inotify::CreateFlags::NONBLOCK)?;
        Ok(Self {
            shared: Arc::default(),
            notes: Receiver::from_file_unchecked(notes.into())?,
            watches: BTreeMap::new(),
        })
    }

    /// Follows the log in `dir`, which must exist, from `start` on. Reads the disk.
    ///
    /// # Errors
    /// When the directory cannot be watched or read.
    pub fn add(&mut self, source: &str, dir: &Path, start: LogStart) -> io::Result<()> {
        // Watched before it is read: nothing can fall between.
        let flags = inotify::WatchFlags::MODIFY
            | inotify::WatchFlags::CREATE
            | inotify::WatchFlags::MOVED_TO
            | inotify::WatchFlags::ONLYDIR;
        let watch = inotify::add_watch(&self.notes, dir, flags)?;
        lock(&self.shared).logs.add(source, dir, start)?;
        self.watches.insert(source.to_owned(), watch);
        Ok(())
    }

    /// Follows that log no longer. What it wrote before and was not read yet is not told any more.
    pub fn remove(&mut self, source: &str) {
        lock(&self.shared).logs.remove(source);
        if let Some(watch) = self.watches.remove(source) {
            // A directory that is gone has taken its watch along.
            let _ = inotify::remove_watch(&self.notes, watch);
        }
    }

    /// Whatever there is now, at most a batch, without waiting for more. Nothing is lost when this is dropped
    /// before it is ready.
    pub async fn read(&self) -> Vec<SourcedEntry> {
        let shared = Arc::clone(&self.shared);
        let reading = tokio::task::spawn_blocking(move || {
            let mut shared = lock(&shared);
            if shared.ready.is_empty() {
                shared.ready = shared.logs.read(BATCH_ENTRIES);
            }
        });
        reading.await.expect("reading logs does not panic");
        std::mem::take(&mut lock(&self.shared).ready)
    }

    /// The next entries, at least one. Nothing is lost when this is dropped before it is ready.
    ///
    /// # Errors
    /// When the kernel's notes cannot be read.
    pub async fn next(&mut self) -> io::Result<Vec<SourcedEntry>> {
        loop {
            let entries = self.read().await;
            if !entries.is_empty() {
                return Ok(entries);
            }
            self.changed().await?;
        }
    }

    /// Waits until something has changed since the last time. What it was does not matter: every log is looked at.
    async fn changed(&self) -> io::Result<()> {
        self.notes.readable().await?;
        let mut notes = [0; NOTE_BYTES];
        loop {
            match self.notes.try_read(&mut notes) {
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
    }
}

fn lock(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}
