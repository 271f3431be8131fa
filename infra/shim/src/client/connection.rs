//! One conversation with a shim.

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::Path;

use tokio::io::Interest;
use tokio::net::UnixStream;

use super::ClientError;
use crate::protocol::{Answer, AnswerLine, MAX_LINE_BYTES, Request, RequestLine, SOCKET_FILE};
use crate::socket::{self, ShortPath};

const READ_BYTES: usize = 4 * 1024;

/// An open connection.
#[derive(Debug)]
pub(super) struct Connection {
    stream: UnixStream,
    inbox: Vec<u8>,
    fds: Vec<OwnedFd>,
}

impl Connection {
    pub(super) async fn open(dir: &Path) -> Result<Self, ClientError> {
        let path = ShortPath::new(dir, SOCKET_FILE).map_err(ClientError::Gone)?;
        let stream = UnixStream::connect(path.as_path()).await.map_err(ClientError::Gone)?;
        Ok(Self { stream, inbox: Vec::new(), fds: Vec::new() })
    }

    /// Sends a request; `fds` go with its first byte.
    pub(super) async fn send(&mut self, request: Request, fds: &[BorrowedFd<'_>]) -> Result<(), ClientError> {
        let mut line = serde_json::to_vec(&RequestLine::new(request)).expect("a request is plain data");
        line.push(b'\n');
        if line.len() > MAX_LINE_BYTES {
            let text = format!("a request of {} bytes is longer than {MAX_LINE_BYTES}", line.len());
            return Err(ClientError::Strange(text));
        }
        let (mut rest, mut fds) = (line.as_slice(), fds);
        while !rest.is_empty() {
            let stream = &self.stream;
            let sent = stream.async_io(Interest::WRITABLE, || socket::send(stream, rest, fds)).await;
            rest = &rest[sent.map_err(ClientError::Gone)?..];
            fds = &[];
        }
        Ok(())
    }

    /// The next answer that is no failure.
    pub(super) async fn answer(&mut self) -> Result<Answer, ClientError> {
        loop {
            if let Some(end) = self.inbox.iter().position(|byte| *byte == b'\n') {
                let rest = self.inbox.split_off(end + 1);
                let line = std::mem::replace(&mut self.inbox, rest);
                return match serde_json::from_slice::<AnswerLine>(&line[..end]) {
                    Ok(AnswerLine { answer: Answer::Failed(failure), .. }) => {
                        Err(ClientError::Refused(failure))
                    }
                    Ok(line) => Ok(line.answer),
                    Err(error) => Err(ClientError::Strange(error.to_string())),
                };
            }
            if self.receive().await? == 0 {
                return Err(ClientError::Gone(io::ErrorKind::UnexpectedEof.into()));
            }
            if self.inbox.len() > MAX_LINE_BYTES {
                return Err(ClientError::Strange("an answer without end".to_owned()));
            }
        }
    }

    /// Waits until the shim closes.
    pub(super) async fn ended(&mut self) -> Result<(), ClientError> {
        while self.receive().await? > 0 {}
        Ok(())
    }

    /// A descriptor that came with an answer.
    pub(super) fn take_fd(&mut self) -> Option<OwnedFd> {
        self.fds.pop()
    }

    async fn receive(&mut self) -> Result<usize, ClientError> {
        let mut buffer = [0; READ_BYTES];
        let (stream, fds) = (&self.stream, &mut self.fds);
        let received =
            stream.async_io(Interest::READABLE, || socket::receive(stream, &mut buffer, fds)).await;
        match received {
            Ok(bytes) => {
                self.inbox.extend_from_slice(&buffer[..bytes]);
                Ok(bytes)
            }
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => Ok(0),
            Err(error) => Err(ClientError::Gone(error)),
        }
    }
}
