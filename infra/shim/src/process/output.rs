//! One stream of the task's output: from pipe chunks to encoded records.

use std::io;
use std::os::fd::OwnedFd;

use kogge_model::log_record::{LogCount, LogRecord, LogStream, MAX_TEXT_BYTES, encode_text_prefix};
use kogge_model::time::Timestamp;

/// How much is read from a pipe at once; the kernel's default pipe holds that much.
pub(super) const CHUNK_BYTES: usize = 64 * 1024;

/// The read end of a task's standard output or error.
#[derive(Debug)]
pub(super) struct OutputPipe {
    stream: LogStream,
    pipe: OwnedFd,
    /// A line whose end has not come yet, shorter than a record's longest text.
    tail: Vec<u8>,
}

/// What one read brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Chunk {
    /// So many bytes.
    Data(usize),
    /// Nothing at the moment.
    Empty,
    /// Nobody can write any more.
    End,
}

impl OutputPipe {
    pub(super) const fn new(stream: LogStream, pipe: OwnedFd) -> Self {
        Self { stream, pipe, tail: Vec::new() }
    }

    pub(super) const fn pipe(&self) -> &OwnedFd {
        &self.pipe
    }

    /// Whether the beginning of a line waits for its end.
    pub(super) const fn has_tail(&self) -> bool {
        !self.tail.is_empty()
    }

    /// Reads one chunk, without waiting.
    pub(super) fn read(&self, buffer: &mut [u8]) -> io::Result<Chunk> {
        loop {
            match rustix::io::read(&self.pipe, &mut *buffer) {
                Ok(0) => return Ok(Chunk::End),
                Ok(bytes) => return Ok(Chunk::Data(bytes)),
                Err(rustix::io::Errno::INTR) => {}
                Err(rustix::io::Errno::AGAIN) => return Ok(Chunk::Empty),
                Err(errno) => return Err(errno.into()),
            }
        }
    }

    /// Appends the records of `chunk` to `out`, keeping an unfinished line for the next one.
    pub(super) fn encode(&mut self, at: Timestamp, chunk: &[u8], out: &mut Vec<u8>) -> LogCount {
        let mut encoder = Encoder::new(at, self.stream, out);
        let mut rest = chunk;
        while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
            encoder.line(&mut self.tail, &rest[..end]);
            rest = &rest[end + 1..];
        }
        while self.tail.len() + rest.len() >= MAX_TEXT_BYTES {
            let cut = MAX_TEXT_BYTES - self.tail.len();
            self.tail.extend_from_slice(&rest[..cut]);
            rest = &rest[cut..];
            encoder.piece(&self.tail);
            self.tail.clear();
        }
        self.tail.extend_from_slice(rest);
        encoder.count
    }

    /// Appends an unfinished line as it is: its end is not to be waited for any longer.
    pub(super) fn flush(&mut self, at: Timestamp, out: &mut Vec<u8>) -> LogCount {
        let mut encoder = Encoder::new(at, self.stream, out);
        if !self.tail.is_empty() {
            encoder.piece(&self.tail);
        }
        let count = encoder.count;
        self.tail = Vec::new();
        count
    }
}

/// Encodes many records of one moment; the part before the text is made once.
struct Encoder<'a> {
    at: Timestamp,
    stream: LogStream,
    prefix: [u8; 32],
    prefix_bytes: usize,
    out: &'a mut Vec<u8>,
    count: LogCount,
}

impl<'a> Encoder<'a> {
    fn new(at: Timestamp, stream: LogStream, out: &'a mut Vec<u8>) -> Self {
        let begin = out.len();
        encode_text_prefix(at, stream, false, out);
        let prefix_bytes = out.len() - begin;
        let mut prefix = [0; 32];
        prefix[..prefix_bytes].copy_from_slice(&out[begin..]);
        out.truncate(begin);
        Self { at, stream, prefix, prefix_bytes, out, count: LogCount::default() }
    }

    /// A line that ends with `end`, after what `tail` holds of it.
    fn line(&mut self, tail: &mut Vec<u8>, end: &[u8]) {
        let mut end = end;
        while tail.len() + end.len() > MAX_TEXT_BYTES {
            let cut = MAX_TEXT_BYTES - tail.len();
            tail.extend_from_slice(&end[..cut]);
            end = &end[cut..];
            self.piece(tail);
            tail.clear();
        }
        self.out.extend_from_slice(&self.prefix[..self.prefix_bytes]);
        self.out.extend_from_slice(tail);
        self.out.extend_from_slice(end);
        self.out.push(b'\n');
        self.add(tail.len() + end.len());
        tail.clear();
    }

    fn piece(&mut self, text: &[u8]) {
        LogRecord::Text { at: self.at, stream: self.stream, is_partial: true, text }.encode(self.out);
        self.add(text.len());
    }

    fn add(&mut self, bytes: usize) {
        self.count = self.count.plus(LogCount {
            records: 1,
            bytes: u64::try_from(bytes).expect("a text's length fits into 64 bits"),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encode(chunks: &[&[u8]]) -> (Vec<(bool, Vec<u8>)>, LogCount) {
        let (pipe, _keep) = rustix::pipe::pipe().unwrap();
        let mut output = OutputPipe::new(LogStream::Stderr, pipe);
        let (mut out, mut count) = (Vec::new(), LogCount::default());
        for chunk in chunks {
            count = count.plus(output.encode(Timestamp::ZERO, chunk, &mut out));
        }
        count = count.plus(output.flush(Timestamp::ZERO, &mut out));
        let lines = out.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        let records = lines.map(|line| match LogRecord::decode(line).unwrap() {
            LogRecord::Text { is_partial, text, stream: LogStream::Stderr, .. } => {
                (is_partial, text.to_vec())
            }
            other => panic!("{other:?}"),
        });
        (records.collect(), count)
    }

    #[test]
    fn lines_are_put_together_over_chunks() {
        let (records, count) = encode(&[b"one\ntw", b"o", b"\n\nthr", b"ee"]);
        let expected: Vec<(bool, Vec<u8>)> = vec![
            (false, b"one".into()),
            (false, b"two".into()),
            (false, b"".into()),
            (true, b"three".into()),
        ];
        assert_eq!(records, expected);
        assert_eq!(count, LogCount { records: 4, bytes: 11 });
    }

    #[test]
    fn long_lines_are_cut_and_nothing_is_lost() {
        let line = vec![b'x'; 3 * MAX_TEXT_BYTES + 5];
        for step in [1_000, MAX_TEXT_BYTES, CHUNK_BYTES] {
            let mut text = line.clone();
            text.push(b'\n');
            let chunks: Vec<&[u8]> = text.chunks(step).collect();
            let (records, count) = encode(&chunks);
            assert!(records.iter().all(|(_, text)| text.len() <= MAX_TEXT_BYTES));
            assert!(!records.last().unwrap().0 && records[..records.len() - 1].iter().all(|(part, _)| *part));
            assert_eq!(records.iter().flat_map(|(_, text)| text.clone()).collect::<Vec<u8>>(), line);
            assert_eq!(count.bytes, u64::try_from(line.len()).unwrap());
        }
    }
}
