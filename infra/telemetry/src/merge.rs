//! Several logs as one, in order of time.

use std::collections::VecDeque;
use std::io;
use std::path::Path;

use crate::entry::LogEntry;
use crate::reader::{LogReader, LogStart};

/// How many entries of one log are held at most.
const HELD_ENTRIES: usize = 256;

/// An entry and the log it comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourcedEntry {
    /// The name the log was added with.
    pub source: String,
    /// The entry.
    pub entry: LogEntry,
}

/// Several logs, by name.
#[derive(Debug, Default)]
pub struct MergedLogs {
    logs: Vec<Log>,
}

#[derive(Debug)]
struct Log {
    source: String,
    reader: LogReader,
    held: VecDeque<LogEntry>,
}

impl MergedLogs {
    /// No logs.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds the log in `dir`.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn add(&mut self, source: impl Into<String>, dir: &Path, start: LogStart) -> io::Result<()> {
        let reader = LogReader::open(dir, start)?;
        self.logs.push(Log { source: source.into(), reader, held: VecDeque::new() });
        Ok(())
    }

    /// Takes the log with that name out.
    pub fn remove(&mut self, source: &str) {
        self.logs.retain(|log| log.source != source);
    }

    /// Whether there is no log.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.logs.is_empty()
    }

    /// The next entries of all logs by time, at most `max`; none if there are none yet. Entries of one log stay
    /// in its order. A log that cannot be read is left out with a warning, the others go on.
    pub fn read(&mut self, max: usize) -> Vec<SourcedEntry> {
        let mut merged = Vec::new();
        let mut is_at_end = vec![false; self.logs.len()];
        while merged.len() < max {
            for (log, is_at_end) in self.logs.iter_mut().zip(&mut is_at_end) {
                if log.held.is_empty() && !*is_at_end {
                    log.refill();
                    *is_at_end = log.held.is_empty();
                }
            }
            let next = self.logs.iter_mut().filter(|log| !log.held.is_empty());
            let Some(log) = next.min_by_key(|log| log.held.front().map(LogEntry::at)) else { break };
            let entry = log.held.pop_front().expect("only logs that hold something were looked at");
            merged.push(SourcedEntry { source: log.source.clone(), entry });
        }
        merged
    }
}

impl Log {
    fn refill(&mut self) {
        match self.reader.read(HELD_ENTRIES) {
            Ok(entries) => self.held.extend(entries),
            Err(error) => tracing::warn!(log = self.source, %error, "cannot read a log"),
        }
    }
}
