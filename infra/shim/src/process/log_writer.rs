//! Segment files of one task's output: bounded, self-describing, and never in the task's way.
//!
//! `log/00000001.log`, `log/00000002.log`, … each begins with a head that counts what came before. When writing
//! fails, the chunk is dropped and counted, and the next chunk that can be written announces the gap.

use std::collections::VecDeque;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use kogge_model::log_record::{LogCount, LogRecord};
use kogge_model::time::Timestamp;

use crate::config::LogLimits;

/// Writes encoded records into segments.
#[derive(Debug)]
pub(super) struct LogWriter {
    dir: PathBuf,
    limits: LogLimits,
    current: Option<Segment>,
    /// Numbers and sizes of the complete segments, the oldest first.
    complete: VecDeque<(u64, u64)>,
    complete_bytes: u64,
    next_number: u64,
    logged: LogCount,
    lost: LogCount,
    unannounced: LogCount,
}

#[derive(Debug)]
struct Segment {
    number: u64,
    file: File,
    bytes: u64,
}

impl LogWriter {
    /// Segments in `dir`, which must exist. Nothing is written before the first record.
    pub(super) fn new(dir: PathBuf, limits: LogLimits) -> Self {
        Self {
            dir,
            limits,
            current: None,
            complete: VecDeque::new(),
            complete_bytes: 0,
            next_number: 1,
            logged: LogCount::default(),
            lost: LogCount::default(),
            unannounced: LogCount::default(),
        }
    }

    /// Everything the task wrote.
    pub(super) const fn logged(&self) -> LogCount {
        self.logged
    }

    /// What of that could not be kept.
    pub(super) const fn lost(&self) -> LogCount {
        self.lost
    }

    /// Writes whole encoded records, `count` of them. Trouble is counted, not returned.
    pub(super) fn write(&mut self, at: Timestamp, records: &[u8], count: LogCount) {
        if self.try_write(at, records).is_err() {
            self.lost = self.lost.plus(count);
            self.unannounced = self.unannounced.plus(count);
        }
        self.logged = self.logged.plus(count);
    }

    fn try_write(&mut self, at: Timestamp, records: &[u8]) -> io::Result<()> {
        let is_full = self.current.as_ref().is_some_and(|segment| {
            segment.bytes + u64::try_from(records.len()).unwrap_or(u64::MAX) > self.limits.segment_bytes
        });
        if is_full {
            self.complete_segment();
        }
        if self.current.is_none() {
            self.current = Some(self.begin_segment(at)?);
        }
        let gap = self.unannounced;
        let segment = self.current.as_mut().expect("a segment was begun above");
        if !gap.is_zero() {
            let mut announced = Vec::with_capacity(64);
            LogRecord::Gap { at, lost: gap }.encode(&mut announced);
            segment.append(&announced)?;
            self.unannounced = LogCount::default();
        }
        segment.append(records)
    }

    fn begin_segment(&mut self, at: Timestamp) -> io::Result<Segment> {
        let path = segment_path(&self.dir, self.next_number);
        let file = File::create(&path)?;
        let mut segment = Segment { number: self.next_number, file, bytes: 0 };
        self.next_number += 1;
        let mut head = Vec::with_capacity(64);
        // What was lost and is not announced yet will be, in this segment: it does not lie before it.
        LogRecord::Head { at, before: self.logged.beyond(self.unannounced) }.encode(&mut head);
        if let Err(error) = segment.append(&head) {
            let _ = fs::remove_file(&path);
            return Err(error);
        }
        Ok(segment)
    }

    fn complete_segment(&mut self) {
        if let Some(segment) = self.current.take() {
            self.complete_bytes += segment.bytes;
            self.complete.push_back((segment.number, segment.bytes));
        }
        while self.complete_bytes + self.limits.segment_bytes > self.limits.total_bytes {
            let Some((number, bytes)) = self.complete.pop_front() else { break };
            self.complete_bytes -= bytes;
            // A file that does not go is not written to any more: nothing better can be done about it.
            let _ = fs::remove_file(segment_path(&self.dir, number));
        }
    }
}

impl Segment {
    /// All of `bytes` or nothing: a torn record is cut off again.
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        if let Err(error) = self.file.write_all(bytes) {
            self.file.set_len(self.bytes)?;
            io::Seek::seek(&mut self.file, io::SeekFrom::Start(self.bytes))?;
            return Err(error);
        }
        self.bytes += u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        Ok(())
    }
}

fn segment_path(dir: &Path, number: u64) -> PathBuf {
    dir.join(format!("{number:08}.log"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use kogge_model::log_record::LogStream;

    fn line(text: &str) -> Vec<u8> {
        let mut out = Vec::new();
        let text = text.as_bytes();
        LogRecord::Text { at: Timestamp::ZERO, stream: LogStream::Stdout, is_partial: false, text }
            .encode(&mut out);
        out
    }

    const ONE: LogCount = LogCount { records: 1, bytes: 100 };

    #[test]
    fn the_total_stays_bounded_and_each_head_tells_what_came_before() {
        let dir = tempfile::tempdir().unwrap();
        let limits = LogLimits { segment_bytes: 1_000, total_bytes: 3_000, bytes_per_second: 1 };
        let mut writer = LogWriter::new(dir.path().to_owned(), limits);
        for _ in 0..100 {
            writer.write(Timestamp::ZERO, &line(&"x".repeat(100)), ONE);
        }
        let mut names: Vec<_> =
            fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
        names.sort();
        let total: u64 = names.iter().map(|path| fs::metadata(path).unwrap().len()).sum();
        assert!(total <= 3_000 && names.len() == 3, "{total} bytes in {names:?}");
        let oldest = fs::read(&names[0]).unwrap();
        let head = LogRecord::decode(oldest.split(|byte| *byte == b'\n').next().unwrap()).unwrap();
        let LogRecord::Head { before, .. } = head else { panic!("{head:?}") };
        let kept: usize = names
            .iter()
            .map(|path| fs::read(path).unwrap().iter().filter(|byte| **byte == b'\n').count() - 1)
            .sum();
        assert_eq!(before.records + u64::try_from(kept).unwrap(), 100);
        assert_eq!(before.bytes, before.records * 100);
    }

    #[test]
    fn what_cannot_be_written_is_counted_and_announced() {
        let parent = tempfile::tempdir().unwrap();
        let dir = parent.path().join("log");
        let mut writer = LogWriter::new(dir.clone(), LogLimits::default());
        writer.write(Timestamp::ZERO, &line("lost"), ONE);
        writer.write(Timestamp::ZERO, &line("lost too"), ONE);
        fs::create_dir(&dir).unwrap();
        writer.write(Timestamp::ZERO, &line("kept"), ONE);
        assert_eq!((writer.lost().records, writer.logged().records), (2, 3));
        let text = fs::read_to_string(segment_path(&dir, 1)).unwrap();
        assert_eq!(text, "0 s H 0 0\n0 s G 2 200\n0 o F kept\n");
    }
}
