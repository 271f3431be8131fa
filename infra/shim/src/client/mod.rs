//! The agent's side: starts shims, talks to them, finds them again.
//!
//! Every call has a deadline and opens a connection of its own, so that none waits behind another. A connection
//! that closes without an answer means that the shim is gone ([`ClientError::Gone`]): see [`recover()`].

mod connection;
mod exec;
mod program;
mod recover;
mod spawn;

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

pub use exec::{RunningExec, null_stdio, resize_terminal};
pub use program::ShimProgram;
pub use recover::{CleanupError, Recovered, destroy, recover, scan};
pub use spawn::{SpawnError, Started, expect_start, spawn};

use crate::protocol::{
    Answer, EndedTask, ExecRequest, Failure, KillScope, LimitChange, Pong, Request, TaskStats,
};
use connection::Connection;

/// How long a shim may take to answer ordinary requests.
pub const REQUEST_DEADLINE: Duration = Duration::from_secs(10);

/// How long starting one more process may take.
pub const EXEC_DEADLINE: Duration = Duration::from_secs(20);

/// Why a request was not fulfilled.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nobody listens, or the shim ended before it answered.
    #[error("the task's supervisor is gone")]
    Gone(#[source] io::Error),
    /// The shim said no.
    #[error(transparent)]
    Refused(Failure),
    /// No answer in time; whether the request has had an effect is not known.
    #[error("the task's supervisor did not answer within {} s", .0.as_secs())]
    TimedOut(Duration),
    /// The answer makes no sense to this client.
    #[error("the task's supervisor answered strangely: {0}")]
    Strange(String),
}

/// One shim, by its directory. Holding it holds nothing open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Client {
    dir: PathBuf,
}

impl Client {
    /// The shim of `dir`, whether or not it is there: [`Client::ping`] tells.
    #[must_use]
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self { dir: dir.into() }
    }

    /// The shim's directory.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Who is there.
    ///
    /// # Errors
    /// See [`ClientError`]; refused while the task is being started.
    pub async fn ping(&self) -> Result<Pong, ClientError> {
        match self.call(Request::Ping, REQUEST_DEADLINE).await? {
            Answer::Pong(pong) => Ok(pong),
            other => Err(strange(&other)),
        }
    }

    /// Waits until the task has ended, however long that takes, without polling.
    ///
    /// # Errors
    /// [`ClientError::Gone`] when the shim ends first; then [`recover()`] knows more.
    pub async fn wait(&self) -> Result<EndedTask, ClientError> {
        let mut connection = Connection::open(&self.dir).await?;
        connection.send(Request::Wait { timeout_ms: None }, &[]).await?;
        match connection.answer().await? {
            Answer::Ended(ended) => Ok(ended),
            other => Err(strange(&other)),
        }
    }

    /// Sends a signal, by its number.
    ///
    /// # Errors
    /// See [`ClientError`]; refused when the task has ended.
    pub async fn kill(&self, signal: i32, scope: KillScope) -> Result<(), ClientError> {
        self.order(Request::Kill { signal, scope }).await
    }

    /// Freezes every process of the task.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn pause(&self) -> Result<(), ClientError> {
        self.order(Request::Pause).await
    }

    /// Thaws them.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn resume(&self) -> Result<(), ClientError> {
        self.order(Request::Resume).await
    }

    /// Lets a single-copy task live until so many ms after the machine was started.
    ///
    /// # Errors
    /// See [`ClientError`]; refused when its lease is over, or it lives on none.
    pub async fn renew(&self, until_ms: u64) -> Result<(), ClientError> {
        self.order(Request::Renew { until_ms }).await
    }

    /// What the task uses now.
    ///
    /// # Errors
    /// See [`ClientError`]; refused when the task has ended.
    pub async fn stats(&self) -> Result<TaskStats, ClientError> {
        match self.call(Request::Stats, REQUEST_DEADLINE).await? {
            Answer::Stats(stats) => Ok(stats),
            other => Err(strange(&other)),
        }
    }

    /// Changes limits while the task runs.
    ///
    /// # Errors
    /// See [`ClientError`]; refused when the kernel does not take a limit, earlier ones stay set.
    pub async fn update(&self, change: LimitChange) -> Result<(), ClientError> {
        self.order(Request::Update(change)).await
    }

    /// Runs one more process in the container: with a terminal, or with these standard input, output and error.
    ///
    /// # Errors
    /// See [`ClientError`]; refused when its program cannot be run.
    pub async fn exec(
        &self,
        request: ExecRequest,
        stdio: Option<[std::os::fd::OwnedFd; 3]>,
    ) -> Result<RunningExec, ClientError> {
        exec::start(&self.dir, request, stdio).await
    }

    /// Removes the runtime's state, the cgroup and the mounts; the shim has ended when this returns. A task that
    /// still runs is killed if `is_forced`, else that is an error. The directory itself stays.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn delete(&self, is_forced: bool) -> Result<(), ClientError> {
        let deleting = async {
            let mut connection = Connection::open(&self.dir).await?;
            connection.send(Request::Delete { is_forced }, &[]).await?;
            match connection.answer().await? {
                Answer::Done => connection.ended().await,
                other => Err(strange(&other)),
            }
        };
        within(REQUEST_DEADLINE, deleting).await?;
        recover::until_unlocked(&self.dir, REQUEST_DEADLINE).await
    }

    async fn order(&self, request: Request) -> Result<(), ClientError> {
        match self.call(request, REQUEST_DEADLINE).await? {
            Answer::Done => Ok(()),
            other => Err(strange(&other)),
        }
    }

    async fn call(&self, request: Request, deadline: Duration) -> Result<Answer, ClientError> {
        within(deadline, async {
            let mut connection = Connection::open(&self.dir).await?;
            connection.send(request, &[]).await?;
            connection.answer().await
        })
        .await
    }
}

async fn within<T>(
    deadline: Duration,
    call: impl Future<Output = Result<T, ClientError>>,
) -> Result<T, ClientError> {
    tokio::time::timeout(deadline, call).await.map_err(|_| ClientError::TimedOut(deadline))?
}

fn strange(answer: &Answer) -> ClientError {
    ClientError::Strange(format!("{answer:?}"))
}
