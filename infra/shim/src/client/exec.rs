//! One more process in a running container.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use kogge_model::task::Exit;

use super::connection::Connection;
use super::{ClientError, EXEC_DEADLINE, strange, within};
use crate::protocol::{Answer, ExecRequest, ExecStarted, Request, WindowSize};

/// A process that was added. Dropping this kills the process, unless it was asked for as detached.
#[derive(Debug)]
pub struct RunningExec {
    started: ExecStarted,
    terminal: Option<OwnedFd>,
    connection: Connection,
}

impl RunningExec {
    /// Its id for [`crate::protocol::KillScope::Exec`], and its process id as the host counts.
    #[must_use]
    pub const fn started(&self) -> ExecStarted {
        self.started
    }

    /// The master end of its terminal, once.
    pub const fn take_terminal(&mut self) -> Option<OwnedFd> {
        self.terminal.take()
    }

    /// Waits until it has ended. Safe to drop and call again.
    ///
    /// # Errors
    /// [`ClientError::Gone`] when the shim ends first.
    pub async fn wait(&mut self) -> Result<Exit, ClientError> {
        match self.connection.answer().await? {
            Answer::ExecEnded(ended) => Ok(ended.exit),
            other => Err(strange(&other)),
        }
    }
}

pub(super) async fn start(
    dir: &Path,
    request: ExecRequest,
    stdio: Option<[OwnedFd; 3]>,
) -> Result<RunningExec, ClientError> {
    let has_terminal = request.terminal.is_some();
    within(EXEC_DEADLINE, async {
        let mut connection = Connection::open(dir).await?;
        let fds: Vec<_> = stdio.iter().flatten().map(AsFd::as_fd).collect();
        connection.send(Request::Exec(request), &fds).await?;
        let started = match connection.answer().await? {
            Answer::ExecStarted(started) => started,
            other => return Err(strange(&other)),
        };
        let terminal = connection.take_fd();
        if has_terminal && terminal.is_none() {
            return Err(ClientError::Strange("the terminal did not come along".to_owned()));
        }
        Ok(RunningExec { started, terminal, connection })
    })
    .await
}

/// Tells the program behind a terminal's master end its new size.
///
/// # Errors
/// When it is no terminal, or its other end is closed.
pub fn resize_terminal(terminal: impl AsFd, size: WindowSize) -> io::Result<()> {
    let size =
        rustix::termios::Winsize { ws_row: size.rows, ws_col: size.columns, ws_xpixel: 0, ws_ypixel: 0 };
    Ok(rustix::termios::tcsetwinsize(terminal, size)?)
}

/// Standard input, output and error of a process that nobody listens to.
///
/// # Errors
/// When `/dev/null` cannot be opened.
pub fn null_stdio() -> io::Result<[OwnedFd; 3]> {
    let open = || std::fs::OpenOptions::new().read(true).write(true).open("/dev/null").map(OwnedFd::from);
    Ok([open()?, open()?, open()?])
}
