//! One client at the socket: lines in, lines out, never waiting for it.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Instant;

use crate::protocol::{Answer, AnswerLine, MAX_LINE_BYTES};
use crate::socket::{self, MAX_FDS};

const READ_BYTES: usize = 4 * 1024;

/// A client.
#[derive(Debug)]
pub(super) struct Connection {
    /// Counted from 1 over the shim's life.
    pub(super) id: u64,
    stream: OwnedFd,
    inbox: Vec<u8>,
    fds: Vec<OwnedFd>,
    outbox: Vec<u8>,
    terminal: Option<OwnedFd>,
    /// What it waits for; its next request is read only afterwards.
    pub(super) pending: Pending,
}

/// What a client is waiting for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pending {
    /// Nothing: it may ask.
    Nothing,
    /// The task's end, until then.
    End(Option<Instant>),
    /// An exec that is being started or runs.
    Exec,
}

/// What became of a look at a client.
#[derive(Debug)]
pub(super) enum Received {
    /// A whole line, and the descriptors that came with it.
    Line(Vec<u8>, Vec<OwnedFd>),
    /// Not yet.
    Nothing,
    /// It has gone, or talks too much.
    Closed,
}

impl Connection {
    pub(super) const fn new(id: u64, stream: OwnedFd) -> Self {
        Self {
            id,
            stream,
            inbox: Vec::new(),
            fds: Vec::new(),
            outbox: Vec::new(),
            terminal: None,
            pending: Pending::Nothing,
        }
    }

    pub(super) fn stream(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }

    pub(super) const fn has_output(&self) -> bool {
        !self.outbox.is_empty()
    }

    /// Reads what is there. A client that waits for an answer is only watched for its going.
    pub(super) fn receive(&mut self) -> Received {
        if let Some(line) = self.take_line() {
            return line;
        }
        let mut buffer = [0; READ_BYTES];
        match socket::receive(&self.stream, &mut buffer, &mut self.fds) {
            Ok(0) => Received::Closed,
            Ok(bytes) if self.inbox.len() + bytes > MAX_LINE_BYTES || self.fds.len() > MAX_FDS => {
                Received::Closed
            }
            Ok(bytes) => {
                self.inbox.extend_from_slice(&buffer[..bytes]);
                self.take_line().unwrap_or(Received::Nothing)
            }
            Err(error) if is_temporary(&error) => Received::Nothing,
            Err(_) => Received::Closed,
        }
    }

    fn take_line(&mut self) -> Option<Received> {
        if self.pending != Pending::Nothing {
            return None;
        }
        let end = self.inbox.iter().position(|byte| *byte == b'\n')?;
        let rest = self.inbox.split_off(end + 1);
        let mut line = std::mem::replace(&mut self.inbox, rest);
        line.truncate(end);
        Some(Received::Line(line, std::mem::take(&mut self.fds)))
    }

    /// Queues an answer; `terminal` goes with its first byte.
    pub(super) fn answer(&mut self, answer: Answer, terminal: Option<OwnedFd>) {
        let mut line = serde_json::to_vec(&AnswerLine::new(answer)).expect("an answer is plain data");
        line.push(b'\n');
        if terminal.is_some() {
            self.terminal = terminal;
        }
        self.outbox.extend_from_slice(&line);
    }

    /// Sends what the client takes now. False if it has gone.
    pub(super) fn flush(&mut self) -> bool {
        while !self.outbox.is_empty() {
            let fds: Vec<BorrowedFd<'_>> = self.terminal.iter().map(AsFd::as_fd).collect();
            match socket::send(&self.stream, &self.outbox, &fds) {
                Ok(bytes) => {
                    self.outbox.drain(..bytes);
                    self.terminal = None;
                }
                Err(error) if is_temporary(&error) => return true,
                Err(_) => return false,
            }
        }
        true
    }
}

fn is_temporary(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}
