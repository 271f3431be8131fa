//! `git http-backend`, git's own server for its smart HTTP protocol, run as CGI (RFC 3875; git-http-backend(1)).

use std::io;
use std::process::Stdio;

use axum::body::Body;
use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt};
use http::request::Parts;
use http::{HeaderName, HeaderValue, Request, Response, StatusCode};
use kogge_host::tasks::{OnPanic, TaskGroup};
use kogge_model::caller::Caller;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio_util::io::ReaderStream;

use crate::config::Config;
use crate::git::repository::{Repository, git};
use crate::hook::process::{APP, SOCKET};

/// Header lines a CGI program may send.
const MAX_HEADERS: usize = 64;

/// Answers one request about `repository`; `rest` is the path inside it: `/info/refs`.
pub(crate) async fn answer(
    config: &Config,
    repository: &Repository,
    rest: &str,
    request: Request<Body>,
    group: &TaskGroup,
) -> io::Result<Response<Body>> {
    let (parts, body) = request.into_parts();
    let mut child = command(config, repository, rest, &parts).spawn()?;
    let input = child.stdin.take().ok_or_else(|| io::Error::other("git has no standard input"))?;
    let output = child.stdout.take().ok_or_else(|| io::Error::other("git has no standard output"))?;
    group.spawn("git-request", OnPanic::Log, feed(body, input));
    let mut output = BufReader::new(output);
    let response = read_headers(&mut output).await?;
    response.body(Body::from_stream(Answer::new(output, child))).map_err(io::Error::other)
}

fn command(config: &Config, repository: &Repository, rest: &str, parts: &Parts) -> Command {
    let header =
        |name: &str| parts.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    // Whoever showed a token has its name; else it is a door that only the operator reaches.
    let caller = parts.extensions.get::<Caller>().map_or("local operator", |caller| &caller.name);
    let mut command = git(&repository.path);
    command
        .arg("http-backend")
        .env_remove("GIT_DIR")
        .env("GIT_PROJECT_ROOT", &repository.path)
        .env("GIT_HTTP_EXPORT_ALL", "1")
        .env("GIT_HTTP_MAX_REQUEST_BUFFER", "20M")
        .env("REMOTE_USER", caller)
        .env("REMOTE_ADDR", "127.0.0.1")
        .env("REQUEST_METHOD", parts.method.as_str())
        .env("PATH_INFO", rest)
        .env("QUERY_STRING", parts.uri.query().unwrap_or_default())
        .env("CONTENT_TYPE", header("content-type"))
        .env("CONTENT_LENGTH", header("content-length"))
        .env("HTTP_CONTENT_ENCODING", header("content-encoding"))
        .env("GIT_PROTOCOL", header("git-protocol"))
        .env(SOCKET, config.socket())
        .env(APP, repository.app.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    command
}

async fn feed(body: Body, mut input: ChildStdin) {
    let mut chunks = body.into_data_stream();
    while let Some(Ok(chunk)) = chunks.next().await {
        // git may answer before it has read everything; then it does not want the rest.
        if input.write_all(&chunk).await.is_err() {
            return;
        }
    }
}

/// CGI header lines up to the empty one (RFC 3875 §6.2); `Status` gives the status.
async fn read_headers(output: &mut BufReader<ChildStdout>) -> io::Result<http::response::Builder> {
    let mut response = Response::builder().status(StatusCode::OK);
    for _ in 0..MAX_HEADERS {
        let mut line = String::new();
        output.read_line(&mut line).await?;
        let line = line.trim_end();
        if line.is_empty() {
            return Ok(response);
        }
        let (name, value) = line.split_once(':').ok_or_else(|| io::Error::other("git sent no header"))?;
        let value = value.trim();
        if name.eq_ignore_ascii_case("status") {
            let code = value.split(' ').next().and_then(|code| code.parse::<u16>().ok());
            response = response.status(code.unwrap_or(500));
        } else {
            let name = HeaderName::try_from(name).map_err(io::Error::other)?;
            response = response.header(name, HeaderValue::try_from(value).map_err(io::Error::other)?);
        }
    }
    Err(io::Error::other("git sent too many headers"))
}

/// The rest of git's output. The process lives as long as somebody reads: a client that goes away ends it, and with
/// it the hook.
struct Answer {
    stream: ReaderStream<BufReader<ChildStdout>>,
    _process: Child,
}

impl Answer {
    fn new(output: BufReader<ChildStdout>, process: Child) -> Self {
        Self { stream: ReaderStream::new(output), _process: process }
    }
}

impl futures_util::Stream for Answer {
    type Item = io::Result<Bytes>;

    fn poll_next(
        mut self: std::pin::Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Self::Item>> {
        self.stream.try_poll_next_unpin(context)
    }
}
