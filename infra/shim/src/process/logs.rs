//! Both streams of the task's output on their way into the log.

use std::os::fd::{AsFd, BorrowedFd};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use kogge_host::clock;
use kogge_model::log_record::LogCount;

use super::log_writer::LogWriter;
use super::output::{CHUNK_BYTES, Chunk, OutputPipe};
use super::pace::Pace;
use crate::config::LogLimits;

/// How long a line may wait for its end before it is written as it is.
const TAIL_PATIENCE: Duration = Duration::from_secs(1);

/// What is still read after the task's end: more than the kernel's largest pipe holds.
const DRAIN_BYTES: usize = 2 << 20;

/// Room for encoded records that is kept when the output is quiet.
const QUIET_CAPACITY: usize = 16 * 1024;

/// The task's output.
#[derive(Debug)]
pub(super) struct Logs {
    pipes: [Option<OutputPipe>; 2],
    writer: LogWriter,
    pace: Pace,
    chunk: Vec<u8>,
    records: Vec<u8>,
    flush_at: Option<Instant>,
}

impl Logs {
    pub(super) fn new(dir: PathBuf, limits: LogLimits, pipes: [OutputPipe; 2]) -> Self {
        Self {
            pipes: pipes.map(Some),
            writer: LogWriter::new(dir, limits),
            pace: Pace::new(limits.bytes_per_second, Instant::now()),
            chunk: Vec::new(),
            records: Vec::new(),
            flush_at: None,
        }
    }

    pub(super) const fn logged(&self) -> LogCount {
        self.writer.logged()
    }

    pub(super) const fn lost(&self) -> LogCount {
        self.writer.lost()
    }

    /// The pipes to watch now, by index, and when to look again at the latest.
    pub(super) fn watch(&mut self, now: Instant) -> (Vec<(usize, BorrowedFd<'_>)>, Option<Instant>) {
        if let Some(later) = self.pace.resume_at(now) {
            return (Vec::new(), Some(later));
        }
        let pipes = self.pipes.iter().enumerate();
        let open = pipes.filter_map(|(index, pipe)| Some((index, pipe.as_ref()?.pipe().as_fd())));
        (open.collect(), self.flush_at)
    }

    /// Takes one chunk from the pipe at `index`.
    pub(super) fn read(&mut self, index: usize) {
        if let Some(spent) = self.take_chunk(index) {
            self.pace.spend(spent);
        }
    }

    /// Writes lines that have waited too long for their end.
    pub(super) fn flush_late(&mut self, now: Instant) {
        if self.flush_at.is_some_and(|at| at <= now) {
            self.flush();
        }
    }

    /// After the task's end: everything that is in the pipes, then nothing more.
    pub(super) fn drain(&mut self) {
        for index in 0..self.pipes.len() {
            let mut left = DRAIN_BYTES;
            while left > 0 {
                let Some(taken) = self.take_chunk(index) else { break };
                left = left.saturating_sub(taken.max(1));
            }
        }
        self.flush();
        self.pipes = [None, None];
        (self.chunk, self.records) = (Vec::new(), Vec::new());
    }

    /// How many bytes of records came out of one read; none if nothing was there.
    fn take_chunk(&mut self, index: usize) -> Option<usize> {
        let pipe = self.pipes[index].as_mut()?;
        if self.chunk.is_empty() {
            self.chunk = vec![0; CHUNK_BYTES];
        }
        match pipe.read(&mut self.chunk) {
            Ok(Chunk::Data(bytes)) => {
                let at = clock::now();
                self.records.clear();
                let count = pipe.encode(at, &self.chunk[..bytes], &mut self.records);
                if !self.records.is_empty() {
                    self.writer.write(at, &self.records, count);
                }
                let has_tail = self.pipes.iter().flatten().any(OutputPipe::has_tail);
                self.flush_at =
                    has_tail.then(|| self.flush_at.unwrap_or_else(|| Instant::now() + TAIL_PATIENCE));
                Some(self.records.len().max(bytes))
            }
            Ok(Chunk::Empty) => None,
            Ok(Chunk::End) | Err(_) => {
                self.flush();
                self.pipes[index] = None;
                self.records.shrink_to(QUIET_CAPACITY);
                None
            }
        }
    }

    fn flush(&mut self) {
        let at = clock::now();
        for pipe in self.pipes.iter_mut().flatten().filter(|pipe| pipe.has_tail()) {
            self.records.clear();
            let count = pipe.flush(at, &mut self.records);
            self.writer.write(at, &self.records, count);
        }
        self.flush_at = None;
        self.records.clear();
        self.records.shrink_to(QUIET_CAPACITY);
    }
}
