//! One record of a task's log as it stands in the segment files between the shim that writes and whoever reads.
//!
//! ```text
//! 1763736928123456 s H 1200 88000      head of a segment: 1,200 records (88,000 bytes of text) came before it
//! 1763736928123460 o F listening on 80 a whole line of standard output
//! 1763736928123460 e P half of a lo    a piece of a line of standard error; the rest follows in the next record
//! 1763736928999999 s G 12 3400         12 records (3,400 bytes of text) could not be written here
//! ```
//!
//! Four fields, three spaces, one newline at the end. The text is bytes, not necessarily UTF-8. Heads and gaps
//! count neither as records nor as bytes. Since every head carries what came before it, a reader that lost its
//! place knows exactly how much it missed.

use std::io::Write as _;

use crate::time::Timestamp;

/// The longest text of one record; longer lines are cut into pieces.
pub const MAX_TEXT_BYTES: usize = 16 * 1024;

/// The longest encoded record, its newline included.
pub const MAX_RECORD_BYTES: usize = MAX_TEXT_BYTES + 64;

/// Where a task wrote.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogStream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// How many records, and how many bytes of text in them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
pub struct LogCount {
    /// Records of text.
    pub records: u64,
    /// Bytes of their text.
    pub bytes: u64,
}

impl LogCount {
    /// Both.
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self { records: self.records + other.records, bytes: self.bytes + other.bytes }
    }

    /// What is in `self` beyond `other`; nothing if `other` is ahead.
    #[must_use]
    pub const fn beyond(self, other: Self) -> Self {
        Self {
            records: self.records.saturating_sub(other.records),
            bytes: self.bytes.saturating_sub(other.bytes),
        }
    }

    /// Whether nothing is counted.
    #[must_use]
    pub const fn is_zero(self) -> bool {
        self.records == 0 && self.bytes == 0
    }
}

/// One record, borrowing its text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogRecord<'a> {
    /// What a task wrote.
    Text {
        /// When it was read from the task.
        at: Timestamp,
        /// Where it came from.
        stream: LogStream,
        /// Whether the line goes on in the stream's next record.
        is_partial: bool,
        /// Without a newline.
        text: &'a [u8],
    },
    /// Something is missing here.
    Gap {
        /// When it ended.
        at: Timestamp,
        /// Exactly how much.
        lost: LogCount,
    },
    /// The first record of each segment.
    Head {
        /// When the segment was begun.
        at: Timestamp,
        /// Everything the task wrote before, lost or not.
        before: LogCount,
    },
}

/// A line that is no record: a torn write, or a file of something else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a log record: {rule}")]
pub struct MalformedLogRecord {
    rule: &'static str,
}

impl<'a> LogRecord<'a> {
    /// When the record was made.
    #[must_use]
    pub const fn at(&self) -> Timestamp {
        match self {
            Self::Text { at, .. } | Self::Gap { at, .. } | Self::Head { at, .. } => *at,
        }
    }

    /// Appends the record and its newline to `out`.
    pub fn encode(&self, out: &mut Vec<u8>) {
        match *self {
            Self::Text { at, stream, is_partial, text } => {
                debug_assert!(!text.contains(&b'\n'), "a record is one line");
                encode_text_prefix(at, stream, is_partial, out);
                out.extend_from_slice(text);
                out.push(b'\n');
            }
            Self::Gap { at, lost } => encode_count(at, 'G', lost, out),
            Self::Head { at, before } => encode_count(at, 'H', before, out),
        }
    }

    /// Reads one line, without its newline.
    ///
    /// # Errors
    /// When the line has another form.
    pub fn decode(line: &'a [u8]) -> Result<Self, MalformedLogRecord> {
        let mut fields = line.splitn(4, |byte| *byte == b' ');
        let mut field = |rule| fields.next().ok_or(MalformedLogRecord { rule });
        let at = Timestamp::from_micros(number(field("no time")?)?);
        let stream = field("no stream")?;
        let kind = field("no kind")?;
        let rest = field("no text")?;
        match (stream, kind) {
            (b"o", b"F") => Ok(text(at, LogStream::Stdout, false, rest)),
            (b"o", b"P") => Ok(text(at, LogStream::Stdout, true, rest)),
            (b"e", b"F") => Ok(text(at, LogStream::Stderr, false, rest)),
            (b"e", b"P") => Ok(text(at, LogStream::Stderr, true, rest)),
            (b"s", b"G") => Ok(Self::Gap { at, lost: count(rest)? }),
            (b"s", b"H") => Ok(Self::Head { at, before: count(rest)? }),
            _ => Err(MalformedLogRecord { rule: "unknown stream and kind" }),
        }
    }
}

/// Appends everything of a text record that stands before its text; a writer of many lines makes it once.
pub fn encode_text_prefix(at: Timestamp, stream: LogStream, is_partial: bool, out: &mut Vec<u8>) {
    let stream = match stream {
        LogStream::Stdout => 'o',
        LogStream::Stderr => 'e',
    };
    let kind = if is_partial { 'P' } else { 'F' };
    write!(out, "{} {stream} {kind} ", at.as_micros()).expect("a vector takes every write");
}

fn encode_count(at: Timestamp, kind: char, count: LogCount, out: &mut Vec<u8>) {
    writeln!(out, "{} s {kind} {} {}", at.as_micros(), count.records, count.bytes)
        .expect("a vector takes every write");
}

const fn text(at: Timestamp, stream: LogStream, is_partial: bool, text: &[u8]) -> LogRecord<'_> {
    LogRecord::Text { at, stream, is_partial, text }
}

fn count(rest: &[u8]) -> Result<LogCount, MalformedLogRecord> {
    let space = rest.iter().position(|byte| *byte == b' ').ok_or(MalformedLogRecord { rule: "no count" })?;
    Ok(LogCount { records: number(&rest[..space])?, bytes: number(&rest[space + 1..])? })
}

fn number(digits: &[u8]) -> Result<u64, MalformedLogRecord> {
    let text = std::str::from_utf8(digits).ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
    text.and_then(|text| text.parse().ok()).ok_or(MalformedLogRecord { rule: "not a number" })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn encoded(record: &LogRecord<'_>) -> Vec<u8> {
        let mut out = Vec::new();
        record.encode(&mut out);
        out
    }

    #[test]
    fn records_stand_in_the_file_as_documented() {
        let at = Timestamp::from_micros(1_763_736_928_123_456);
        let line = LogRecord::Text { at, stream: LogStream::Stderr, is_partial: true, text: b"a  b" };
        assert_eq!(encoded(&line), b"1763736928123456 e P a  b\n");
        let gap = LogRecord::Gap { at, lost: LogCount { records: 12, bytes: 3400 } };
        assert_eq!(encoded(&gap), b"1763736928123456 s G 12 3400\n");
    }

    #[test]
    fn what_is_no_record_is_refused() {
        for line in
            [&b""[..], b"1 o F", b"x o F t", b"1 s F t", b"1 s G 1", b"1 s G 1 x", b"+1 o F t", b"1 o Q t"]
        {
            assert!(LogRecord::decode(line).is_err(), "{line:?}");
        }
        assert!(LogRecord::decode(b"1 o F ").is_ok(), "an empty line is a record");
    }

    proptest! {
        #[test]
        fn what_was_encoded_is_decoded(
            micros: u64,
            is_err: bool,
            is_partial: bool,
            text in proptest::collection::vec(any::<u8>().prop_filter("newline", |b| *b != b'\n'), 0..80),
        ) {
            let stream = if is_err { LogStream::Stderr } else { LogStream::Stdout };
            let record = LogRecord::Text { at: Timestamp::from_micros(micros), stream, is_partial, text: &text };
            let line = encoded(&record);
            prop_assert_eq!(LogRecord::decode(&line[..line.len() - 1]), Ok(record));
        }
    }
}
