//! A program run inside a running task, with its streams as messages.

use std::io;
use std::os::fd::OwnedFd;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use kogge_containers::image::ResolvedUser;
use kogge_host::tasks::OnPanic;
use kogge_model::id::TaskId;
use kogge_model::reason::Reason;
use kogge_model::view::Problem;
use kogge_model::view::exec::{ExecInput, ExecOutput, ExecRequest};
use kogge_shim::client::{self, RunningExec, resize_terminal};
use kogge_shim::config::{Rootfs, ShimConfig};
use kogge_shim::protocol::{self, WindowSize};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::unix::pipe;
use tokio::sync::mpsc;

use crate::sentence;
use crate::tasks::Machine;

/// Messages under way in each direction; when they are full, whoever writes waits.
const MESSAGES: usize = 16;

/// Bytes read at once.
const CHUNK_BYTES: usize = 16 * 1024;

/// How long the outputs of a program that has ended are listened to without hearing anything.
const LINGER: Duration = Duration::from_millis(200);

/// A terminal nobody told the size of.
const USUAL_SIZE: WindowSize = WindowSize { rows: 24, columns: 80 };

/// A program running inside a task. Dropping both ends kills it.
#[derive(Debug)]
pub struct ExecSession {
    /// To the program. When full the sender waits.
    pub input: mpsc::Sender<ExecInput>,
    /// From the program; ends after its exit code. When full the program waits.
    pub output: mpsc::Receiver<ExecOutput>,
}

/// The agent's ends of the program's streams.
enum Streams {
    /// Both are the master end; a pipe's type reads and writes it as well, without blocking.
    Terminal {
        writer: pipe::Sender,
        reader: pipe::Receiver,
    },
    Pipes {
        stdin: Option<pipe::Sender>,
        stdout: pipe::Receiver,
        stderr: pipe::Receiver,
    },
}

impl Machine {
    /// Runs a program inside `task`.
    pub(crate) async fn exec(&self, task: &TaskId, request: ExecRequest) -> Result<ExecSession, Reason> {
        let dir = self.of(task).shim;
        let wish = self.shim_request(&dir, &request)?;
        let failed = |error: io::Error| Reason::new(format!("cannot make pipes: {error}"));
        let (theirs, pipes) = if request.is_tty {
            (None, None)
        } else {
            let (theirs, pipes) = make_pipes(request.is_interactive).map_err(failed)?;
            (Some(theirs), Some(pipes))
        };
        let started = self.shim(task).exec(wish, theirs).await;
        let mut running = started.map_err(|error| match error {
            client::ClientError::Gone(_) => Reason::new(format!("task {task} is not running")),
            error => Reason::new(sentence::of(&error)),
        })?;
        let streams = match pipes {
            Some(pipes) => pipes,
            None => {
                let terminal =
                    running.take_terminal().ok_or_else(|| Reason::new("its terminal did not come along"))?;
                terminal_streams(terminal).map_err(failed)?
            }
        };
        let (input, from_client) = mpsc::channel(MESSAGES);
        let (to_client, output) = mpsc::channel(MESSAGES);
        let token = self.work.token();
        self.work.spawn(format!("exec in {task}"), OnPanic::Log, async move {
            tokio::select! {
                () = attend(running, streams, from_client, to_client) => {}
                () = token.cancelled() => {}
            }
        });
        Ok(ExecSession { input, output })
    }

    fn shim_request(
        &self,
        dir: &std::path::Path,
        request: &ExecRequest,
    ) -> Result<protocol::ExecRequest, Reason> {
        let user = request.user.as_deref().map(|user| resolve_user(dir, user)).transpose()?;
        let size = WindowSize {
            rows: request.rows.unwrap_or(USUAL_SIZE.rows),
            columns: request.columns.unwrap_or(USUAL_SIZE.columns),
        };
        let mut env = request.env.clone();
        if request.is_tty && !env.iter().any(|entry| entry.starts_with("TERM=")) {
            env.push("TERM=xterm".to_owned());
        }
        Ok(protocol::ExecRequest {
            args: request.argv.clone(),
            env,
            cwd: None,
            user,
            terminal: request.is_tty.then_some(size),
            is_detached: false,
        })
    }
}

/// Names are looked up where the task itself would find them: what it wrote comes before its image.
fn resolve_user(dir: &std::path::Path, user: &str) -> Result<protocol::User, Reason> {
    let config = ShimConfig::load(dir).map_err(|error| Reason::new(sentence::of(&error)))?;
    let layers = match config.rootfs {
        Rootfs::Overlay { lowers, upper, .. } => std::iter::once(upper).chain(lowers).collect(),
        Rootfs::Host { .. } => vec!["/".into()],
        Rootfs::Directory { path } => vec![path],
    };
    let found = ResolvedUser::resolve(user, &layers).map_err(|error| Reason::new(sentence::of(&error)))?;
    if found.uid == 0 && layers == [std::path::PathBuf::from("/")] {
        return Err(Reason::new("a command without an image cannot run as root"));
    }
    Ok(protocol::User { uid: found.uid, gid: found.gid, additional_gids: found.additional_gids })
}

/// The program's three ends, and ours.
fn make_pipes(is_interactive: bool) -> io::Result<([OwnedFd; 3], Streams)> {
    let (stdin, their_stdin) = if is_interactive {
        let (ours, theirs) = pipe::pipe()?;
        (Some(ours), theirs.into_blocking_fd()?)
    } else {
        (None, std::fs::File::open("/dev/null")?.into())
    };
    let (their_stdout, stdout) = pipe::pipe()?;
    let (their_stderr, stderr) = pipe::pipe()?;
    let theirs = [their_stdin, their_stdout.into_blocking_fd()?, their_stderr.into_blocking_fd()?];
    Ok((theirs, Streams::Pipes { stdin, stdout, stderr }))
}

fn terminal_streams(terminal: OwnedFd) -> io::Result<Streams> {
    let reader = pipe::Receiver::from_owned_fd_unchecked(terminal.try_clone()?)?;
    Ok(Streams::Terminal { writer: pipe::Sender::from_owned_fd_unchecked(terminal)?, reader })
}

/// Carries the streams until the program has ended and everything it wrote has been passed on.
async fn attend(
    mut running: RunningExec,
    streams: Streams,
    from_client: mpsc::Receiver<ExecInput>,
    to_client: mpsc::Sender<ExecOutput>,
) {
    let outlet = Outlet { to_client: to_client.clone(), sent: AtomicU64::new(0) };
    let mut carrying = pin!(carry(streams, from_client, &outlet));
    let ended = tokio::select! {
        ended = running.wait() => {
            tokio::select! { () = &mut carrying => {}, () = outlet.dried_up() => {} }
            ended
        }
        () = &mut carrying => running.wait().await,
        // Nobody listens any more: dropping `running` kills the program.
        () = to_client.closed() => return,
    };
    let last = match ended {
        Ok(exit) => ExecOutput::Exit(exit),
        Err(error) => ExecOutput::Failed(lost(&error)),
    };
    let _ = to_client.send(last).await;
}

/// Returns when the program's outputs have ended.
async fn carry(streams: Streams, from_client: mpsc::Receiver<ExecInput>, outlet: &Outlet) {
    match streams {
        Streams::Terminal { writer, reader } => {
            tokio::select! {
                // Reads as an error (EIO) once the other end is closed.
                () = pass_on(reader, outlet, ExecOutput::Stdout) => {}
                () = type_in(writer, from_client) => {}
            }
        }
        Streams::Pipes { stdin, stdout, stderr } => {
            let outputs = async {
                tokio::join!(
                    pass_on(stdout, outlet, ExecOutput::Stdout),
                    pass_on(stderr, outlet, ExecOutput::Stderr)
                );
            };
            tokio::select! { () = outputs => {}, () = feed(stdin, from_client) => {} }
        }
    }
}

/// Where output goes, and how much has gone.
struct Outlet {
    to_client: mpsc::Sender<ExecOutput>,
    sent: AtomicU64,
}

impl Outlet {
    /// False when nobody listens.
    async fn send(&self, output: ExecOutput) -> bool {
        self.sent.fetch_add(1, Ordering::Relaxed);
        self.to_client.send(output).await.is_ok()
    }

    /// Resolves when nothing has come for a while though there was room for it. A child in the background may hold
    /// the streams of a program that has ended; nobody waits for that one.
    async fn dried_up(&self) {
        loop {
            let before = self.sent.load(Ordering::Relaxed);
            tokio::time::sleep(LINGER).await;
            if self.sent.load(Ordering::Relaxed) == before && self.to_client.capacity() > 0 {
                return;
            }
        }
    }
}

fn lost(error: &client::ClientError) -> Problem {
    Problem {
        kind: format!("{}exec-lost", Problem::KIND_PREFIX),
        title: "the program was lost".to_owned(),
        status: 502,
        detail: sentence::of(error),
        ..Problem::default()
    }
}

/// Passes everything on until the stream ends or nobody listens.
async fn pass_on(mut from: impl AsyncRead + Unpin, outlet: &Outlet, wrap: fn(Vec<u8>) -> ExecOutput) {
    let mut buffer = vec![0; CHUNK_BYTES];
    while let Ok(bytes) = from.read(&mut buffer).await {
        if bytes == 0 || !outlet.send(wrap(buffer[..bytes].to_vec())).await {
            return;
        }
    }
}

/// Never ends by itself: the end of the input is not the end of the program.
async fn feed(mut stdin: Option<impl AsyncWrite + Unpin>, mut from_client: mpsc::Receiver<ExecInput>) {
    while let Some(input) = from_client.recv().await {
        match (&mut stdin, input) {
            (Some(pipe), ExecInput::Stdin(bytes)) => {
                if pipe.write_all(&bytes).await.is_err() {
                    stdin = None;
                }
            }
            (_, ExecInput::CloseStdin) => stdin = None,
            (None, ExecInput::Stdin(_)) | (_, ExecInput::Resize { .. }) => {}
        }
    }
    drop(stdin);
    std::future::pending::<()>().await;
}

/// End of transmission, what a person types to end the input (ASCII EOT).
const END_OF_INPUT: &[u8] = &[4];

/// Never ends by itself, as [`feed`].
async fn type_in(mut terminal: pipe::Sender, mut from_client: mpsc::Receiver<ExecInput>) {
    while let Some(input) = from_client.recv().await {
        let written = match input {
            ExecInput::Stdin(bytes) => terminal.write_all(&bytes).await,
            ExecInput::CloseStdin => terminal.write_all(END_OF_INPUT).await,
            ExecInput::Resize { columns, rows } => resize_terminal(&terminal, WindowSize { rows, columns }),
        };
        if written.is_err() {
            break;
        }
    }
    std::future::pending::<()>().await;
}
