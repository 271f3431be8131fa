//! One log from a point on, as far as it goes; called again, whatever has come since.

use std::io;
use std::path::{Path, PathBuf};

use kogge_model::log_record::{LogCount, LogRecord};
use kogge_model::time::Timestamp;

use crate::entry::LogEntry;
use crate::segment::{Segment, segment_numbers};

/// Where reading begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogStart {
    /// With the oldest that is kept.
    Oldest,
    /// With what was written at that time or later.
    Since(Timestamp),
    /// With the last so many lines.
    Last(u64),
    /// With what comes from now on.
    End,
}

/// Reads one log. It does not wait: see [`crate::LogFollower`].
#[derive(Debug)]
pub struct LogReader {
    dir: PathBuf,
    segment: Option<Segment>,
    /// Whether a later segment was seen, so that the open one grows no more.
    is_complete: bool,
    /// The number of the segment that was read before the open one.
    left: u64,
    filter: Filter,
}

/// What of the records is given out, and how far they lead.
#[derive(Debug)]
struct Filter {
    /// Everything the task wrote up to here, as the heads count; none before the first head.
    position: Option<LogCount>,
    since: Timestamp,
    /// Whole lines still to be left out.
    skip_lines: u64,
    /// Whether a gap before the first entry is of interest.
    tells_first_gap: bool,
}

impl LogReader {
    /// The log in `dir`, which need not exist yet.
    ///
    /// # Errors
    /// When the directory or a segment cannot be read.
    pub fn open(dir: &Path, start: LogStart) -> io::Result<Self> {
        let tells_first_gap = matches!(start, LogStart::Oldest | LogStart::Since(_));
        let filter = Filter { position: None, since: Timestamp::ZERO, skip_lines: 0, tells_first_gap };
        let mut reader = Self { dir: dir.to_owned(), segment: None, is_complete: false, left: 0, filter };
        match start {
            LogStart::Oldest => {}
            LogStart::Since(since) => {
                reader.filter.since = since;
                reader.segment = reader.segment_at(since)?;
            }
            LogStart::Last(lines) => reader.skip_to_last(lines)?,
            LogStart::End => reader.skip_to_last(0)?,
        }
        Ok(reader)
    }

    /// The next entries, at most `max`; none if there are none yet.
    ///
    /// # Errors
    /// When the directory or a segment cannot be read.
    pub fn read(&mut self, max: usize) -> io::Result<Vec<LogEntry>> {
        let mut entries = Vec::new();
        while entries.len() < max {
            let Some(segment) = self.segment.as_mut() else {
                if self.enter_next()? {
                    continue;
                }
                break;
            };
            let number = segment.number;
            match segment.next_line()?.map(LogRecord::decode) {
                Some(Ok(record)) => entries.extend(self.filter.take(record)),
                Some(Err(error)) => {
                    tracing::warn!(segment = number, %error, "a damaged record in a log segment")
                }
                None if self.is_complete => {
                    (self.segment, self.left) = (None, number);
                }
                // It may have grown between the look at it and the discovery of a later one: look once more.
                None if has_later(&self.dir, number)? => self.is_complete = true,
                None => break,
            }
        }
        Ok(entries)
    }

    /// Opens the first later segment that can still be opened.
    fn enter_next(&mut self) -> io::Result<bool> {
        for number in segment_numbers(&self.dir)?.into_iter().filter(|number| *number > self.left) {
            if let Some(segment) = Segment::open(&self.dir, number)? {
                (self.segment, self.is_complete) = (Some(segment), false);
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The last segment that was begun at `since` or before; the oldest if there is none.
    fn segment_at(&self, since: Timestamp) -> io::Result<Option<Segment>> {
        for number in segment_numbers(&self.dir)?.into_iter().rev() {
            let Some(mut segment) = Segment::open(&self.dir, number)? else { continue };
            let begun =
                segment.next_line()?.and_then(|line| LogRecord::decode(line).ok()).map(|head| head.at());
            if begun.is_some_and(|begun| begun <= since) {
                return Segment::open(&self.dir, number);
            }
        }
        Ok(None)
    }

    /// Finds the segment in which the last `lines` lines begin, and how many of its lines come before them.
    fn skip_to_last(&mut self, lines: u64) -> io::Result<()> {
        let mut found = 0;
        for number in segment_numbers(&self.dir)?.into_iter().rev() {
            let Some(mut segment) = Segment::open(&self.dir, number)? else { continue };
            while let Some(line) = segment.next_line()? {
                let is_whole =
                    matches!(LogRecord::decode(line), Ok(LogRecord::Text { is_partial: false, .. }));
                found += u64::from(is_whole);
            }
            self.segment = Segment::open(&self.dir, number)?;
            if found >= lines {
                break;
            }
        }
        self.filter.skip_lines = found.saturating_sub(lines);
        Ok(())
    }
}

fn has_later(dir: &Path, number: u64) -> io::Result<bool> {
    Ok(segment_numbers(dir)?.last().is_some_and(|last| *last > number))
}

impl Filter {
    fn take(&mut self, record: LogRecord<'_>) -> Option<LogEntry> {
        match record {
            LogRecord::Head { at, before } => {
                let missed = before.beyond(self.position.unwrap_or_default());
                let is_asked = self.position.is_some() || (self.tells_first_gap && self.since < at);
                self.position = Some(before);
                (is_asked && !missed.is_zero()).then_some(LogEntry::Gap { at, lost: missed })
            }
            LogRecord::Gap { at, lost } => {
                self.advance(lost);
                (at >= self.since && self.skip_lines == 0).then_some(LogEntry::Gap { at, lost })
            }
            LogRecord::Text { at, stream, is_partial, text } => {
                let bytes = u64::try_from(text.len()).expect("a text's length fits into 64 bits");
                self.advance(LogCount { records: 1, bytes });
                if self.skip_lines > 0 {
                    self.skip_lines -= u64::from(!is_partial);
                    return None;
                }
                let text = String::from_utf8_lossy(text).into_owned();
                (at >= self.since).then_some(LogEntry::Line { at, stream, is_partial, text })
            }
        }
    }

    fn advance(&mut self, by: LogCount) {
        self.position = self.position.map(|position| position.plus(by));
    }
}
