//! Segments as a shim writes them, read while they grow and go.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on ends there")]

use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use kogge_model::log_record::{LogCount, LogRecord, LogStream};
use kogge_model::time::Timestamp;
use kogge_telemetry::{LogEntry, LogFollower, LogReader, LogStart, MergedLogs};

/// Writes segments the way shims do.
struct Writer {
    dir: PathBuf,
    file: Option<File>,
    number: u64,
    written: LogCount,
}

impl Writer {
    fn new(dir: &Path) -> Self {
        fs::create_dir_all(dir).unwrap();
        Self { dir: dir.to_owned(), file: None, number: 0, written: LogCount::default() }
    }

    fn path(&self, number: u64) -> PathBuf {
        self.dir.join(format!("{number:08}.log"))
    }

    fn record(&mut self, record: &LogRecord<'_>) {
        let mut line = Vec::new();
        record.encode(&mut line);
        self.file.as_mut().unwrap().write_all(&line).unwrap();
    }

    fn rotate(&mut self, at: u64) {
        self.number += 1;
        self.file =
            Some(OpenOptions::new().create_new(true).append(true).open(self.path(self.number)).unwrap());
        let before = self.written;
        self.record(&LogRecord::Head { at: Timestamp::from_micros(at), before });
    }

    fn line(&mut self, at: u64, text: &str) {
        if self.file.is_none() {
            self.rotate(at);
        }
        let (at, text) = (Timestamp::from_micros(at), text.as_bytes());
        self.record(&LogRecord::Text { at, stream: LogStream::Stdout, is_partial: false, text });
        self.written = self.written.plus(LogCount { records: 1, bytes: u64::try_from(text.len()).unwrap() });
    }

    fn gap(&mut self, at: u64, lost: LogCount) {
        self.record(&LogRecord::Gap { at: Timestamp::from_micros(at), lost });
        self.written = self.written.plus(lost);
    }
}

fn texts(entries: &[LogEntry]) -> Vec<String> {
    let text = |entry: &LogEntry| match entry {
        LogEntry::Line { text, .. } => text.clone(),
        LogEntry::Gap { lost, .. } => format!("gap of {} records, {} bytes", lost.records, lost.bytes),
    };
    entries.iter().map(text).collect()
}

fn read(dir: &Path, start: LogStart) -> Vec<String> {
    texts(&LogReader::open(dir, start).unwrap().read(usize::MAX).unwrap())
}

/// Five segments of ten lines, `line 0` at 0 µs, `line 1` at 1 µs, …
fn fifty_lines(dir: &Path) -> Writer {
    let mut writer = Writer::new(dir);
    for number in 0..50 {
        if number % 10 == 0 {
            writer.rotate(number);
        }
        writer.line(number, &format!("line {number}"));
    }
    writer
}

fn lines(numbers: std::ops::Range<u64>) -> Vec<String> {
    numbers.map(|number| format!("line {number}")).collect()
}

#[test]
fn a_log_is_read_from_its_start_a_time_or_its_last_lines() {
    let dir = tempfile::tempdir().unwrap();
    fifty_lines(dir.path());
    assert_eq!(read(dir.path(), LogStart::Oldest), lines(0..50));
    assert_eq!(read(dir.path(), LogStart::Since(Timestamp::from_micros(27))), lines(27..50));
    for last in [0, 1, 10, 23, 50, 99] {
        assert_eq!(read(dir.path(), LogStart::Last(last)), lines(50_u64.saturating_sub(last)..50));
    }
    assert_eq!(read(dir.path(), LogStart::End), lines(50..50));
    assert_eq!(read(&dir.path().join("nothing"), LogStart::Oldest), lines(0..0));
}

#[test]
fn what_rotation_removed_is_a_gap_of_exact_size() {
    let dir = tempfile::tempdir().unwrap();
    let writer = fifty_lines(dir.path());
    fs::remove_file(writer.path(1)).unwrap();
    let gap = vec!["gap of 10 records, 60 bytes".to_owned()];
    assert_eq!(read(dir.path(), LogStart::Oldest), [gap.clone(), lines(10..50)].concat());
    assert_eq!(read(dir.path(), LogStart::Since(Timestamp::from_micros(5))), [gap, lines(10..50)].concat());
    // Nothing that was asked for is missing.
    assert_eq!(read(dir.path(), LogStart::Since(Timestamp::from_micros(15))), lines(15..50));
    assert_eq!(read(dir.path(), LogStart::Last(40)), lines(10..50));
    fs::remove_file(writer.path(3)).unwrap();
    let middle = vec!["gap of 10 records, 70 bytes".to_owned()];
    assert_eq!(read(dir.path(), LogStart::Last(25)), [lines(15..20), middle, lines(30..50)].concat());
}

#[test]
fn what_could_not_be_written_is_told_where_it_was() {
    let dir = tempfile::tempdir().unwrap();
    let mut writer = Writer::new(dir.path());
    writer.line(1, "before");
    writer.gap(2, LogCount { records: 7, bytes: 99 });
    writer.line(3, "after");
    writer.rotate(4);
    writer.line(5, "later");
    assert_eq!(
        read(dir.path(), LogStart::Oldest),
        ["before", "gap of 7 records, 99 bytes", "after", "later"]
    );
}

#[test]
fn a_reader_goes_on_through_rotation_and_counts_what_it_was_too_slow_for() {
    let dir = tempfile::tempdir().unwrap();
    let mut writer = Writer::new(dir.path());
    writer.line(1, "a");
    let mut reader = LogReader::open(dir.path(), LogStart::Oldest).unwrap();
    assert_eq!(texts(&reader.read(10).unwrap()), ["a"]);
    writer.line(2, "b");
    writer.rotate(3);
    writer.line(4, "c");
    fs::remove_file(writer.path(1)).unwrap();
    assert_eq!(texts(&reader.read(10).unwrap()), ["b", "c"], "a removed segment is read to its end");
    for number in 5..8 {
        writer.rotate(number);
        writer.line(number, "x");
        fs::remove_file(writer.path(writer.number - 1)).unwrap();
    }
    assert_eq!(texts(&reader.read(10).unwrap()), ["gap of 2 records, 2 bytes", "x"]);
    assert!(reader.read(10).unwrap().is_empty());
}

#[test]
fn torn_and_foreign_lines_are_no_entries_and_no_end() {
    let dir = tempfile::tempdir().unwrap();
    let mut writer = Writer::new(dir.path());
    writer.line(1, "good");
    let file = writer.file.as_mut().unwrap();
    file.write_all(b"what is this\n").unwrap();
    file.write_all(&vec![b'x'; 300_000]).unwrap();
    file.write_all(b"\n2 o F torn").unwrap();
    let mut reader = LogReader::open(dir.path(), LogStart::Oldest).unwrap();
    assert_eq!(texts(&reader.read(10).unwrap()), ["good"]);
    writer.file.as_mut().unwrap().write_all(b" no more\n").unwrap();
    assert_eq!(texts(&reader.read(10).unwrap()), ["torn no more"]);
}

#[test]
fn several_logs_come_in_order_of_time() {
    let dir = tempfile::tempdir().unwrap();
    let mut merged = MergedLogs::new();
    for (name, offset) in [("a", 0), ("b", 1), ("c", 2)] {
        let log = dir.path().join(name);
        let mut writer = Writer::new(&log);
        for number in 0..1_000 {
            writer.line(number * 3 + offset, name);
        }
        merged.add(name, &log, LogStart::Oldest).unwrap();
    }
    let mut all = Vec::new();
    loop {
        let batch = merged.read(700);
        if batch.is_empty() {
            break;
        }
        all.extend(batch);
    }
    assert_eq!(all.len(), 3_000);
    assert!(all.iter().map(|sourced| sourced.entry.at()).is_sorted());
    assert!(
        all.iter().all(|sourced| texts(std::slice::from_ref(&sourced.entry)) == [sourced.source.clone()])
    );
}

#[tokio::test]
async fn a_follower_sees_every_line_through_rotation_and_new_logs() {
    let dir = tempfile::tempdir().unwrap();
    let (first, second) = (dir.path().join("first"), dir.path().join("second"));
    let mut writers = [Writer::new(&first), Writer::new(&second)];
    writers[0].line(0, "old");
    let mut follower = LogFollower::new().unwrap();
    follower.add("first", &first, LogStart::End).unwrap();
    follower.add("second", &second, LogStart::Oldest).unwrap();
    assert!(follower.read().await.is_empty());
    let writing = tokio::task::spawn_blocking(move || {
        for number in 1..=5_000 {
            for writer in &mut writers {
                if number % 100 == 0 {
                    writer.rotate(number);
                }
                writer.line(number, &number.to_string());
            }
        }
    });
    let mut seen = [0, 0];
    while seen != [5_000, 5_000] {
        // Whoever asks and does not wait loses nothing.
        let batch = match tokio::time::timeout(Duration::ZERO, follower.next()).await {
            Ok(batch) => batch,
            Err(_) => tokio::time::timeout(Duration::from_secs(20), follower.next()).await.expect("in time"),
        };
        let batch = batch.unwrap();
        for sourced in batch {
            let index = usize::from(sourced.source == "second");
            let LogEntry::Line { text, .. } = sourced.entry else { panic!("a gap") };
            seen[index] += 1;
            assert_eq!(text, seen[index].to_string(), "in order, each once");
        }
    }
    writing.await.unwrap();
    follower.remove("first");
    assert!(follower.read().await.is_empty());
}
