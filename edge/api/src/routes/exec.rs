//! A command inside a running instance: the connection is taken over and carries frames.

use std::time::Duration;

use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::response::Response;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use kogge_control::ports::ExecSession;
use kogge_host::tasks::OnPanic;
use kogge_model::view::Problem;
use kogge_model::view::exec::{ExecInput, ExecOutput, ExecRequest, Frame as _, FrameDecoder, PROTOCOL};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, ReadHalf, WriteHalf};
use tokio::sync::mpsc;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::caller::Asking;
use crate::extract::Json;
use crate::problem::Refused;
use crate::router::Api;

/// How long a client may take to change the protocol once it was agreed.
const UPGRADE: Duration = Duration::from_secs(10);

pub(crate) fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(exec))
}

/// Run a command inside a running instance (`web.1`; a service means its first running one)
///
/// The connection changes to `kogge-exec/1`: frames of a type byte, a length of four bytes and a payload.
#[utoipa::path(post, path = "/instances/{instance}/exec", tag = "instances",
    params(("instance" = String, Path, description = "Its name, its slashes encoded")),
    request_body = ExecRequest, responses(
    (status = 101, description = "Frames follow"),
    (status = 404, description = "There is no such instance", body = Problem, content_type = "application/problem+json"),
    (status = 409, description = "It does not run", body = Problem, content_type = "application/problem+json"),
    (status = 426, description = "The protocol must change to kogge-exec/1", body = Problem, content_type = "application/problem+json"),
    (status = "default", description = "Refused", body = Problem, content_type = "application/problem+json"),
))]
async fn exec(
    State(api): State<Api>,
    Asking(caller): Asking,
    Path(instance): Path<String>,
    mut request: Request,
) -> Result<Response, Refused> {
    check_protocol(request.headers())?;
    let upgrade = request.extensions_mut().remove::<OnUpgrade>().ok_or_else(needs_upgrade)?;
    let Json(wish) = axum::RequestExt::extract::<Json<ExecRequest>, _>(request).await?;
    let session = api.handle.exec(&caller, instance, wish).await?;
    let token = api.tasks.token();
    api.tasks.spawn("exec session", OnPanic::Log, async move {
        tokio::select! {
            () = token.cancelled() => {}
            () = run(upgrade, session) => {}
        }
    });
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    response.headers_mut().insert(header::UPGRADE, HeaderValue::from_static(PROTOCOL));
    Ok(response)
}

fn check_protocol(headers: &HeaderMap) -> Result<(), Refused> {
    let asked = headers.get(header::UPGRADE).map(HeaderValue::as_bytes);
    if asked == Some(PROTOCOL.as_bytes()) { Ok(()) } else { Err(needs_upgrade()) }
}

fn needs_upgrade() -> Refused {
    Refused::upgrade(format!("exec speaks {PROTOCOL} over HTTP/1.1"))
        .with_hint("kogge exec INSTANCE -- COMMAND")
}

/// Carries frames until the command has ended or the client has gone; dropping the session ends the command.
async fn run(upgrade: OnUpgrade, session: ExecSession) {
    let upgraded = match tokio::time::timeout(UPGRADE, upgrade).await {
        Ok(Ok(upgraded)) => upgraded,
        Ok(Err(error)) => return tracing::debug!(%error, "exec: the client went before the protocol changed"),
        Err(_) => return tracing::debug!("exec: the protocol did not change in time"),
    };
    let (read, write) = tokio::io::split(TokioIo::new(upgraded));
    let ExecSession { input, output } = session;
    tokio::select! {
        () = receive(read, input) => {}
        () = send(write, output) => {}
    }
}

/// Frames of the client to the command, until the client goes or talks nonsense.
async fn receive(mut read: ReadHalf<TokioIo<Upgraded>>, input: mpsc::Sender<ExecInput>) {
    let mut decoder = FrameDecoder::default();
    let mut buffer = vec![0u8; 16 * 1024];
    loop {
        loop {
            match decoder.next_frame() {
                Ok(None) => break,
                // A command that takes no more input may still have output to be sent.
                Ok(Some(frame)) => {
                    let _ = input.send(frame).await;
                }
                Err(error) => return tracing::debug!(%error, "exec: the client talks nonsense"),
            }
        }
        match read.read(&mut buffer).await {
            Ok(count @ 1..) => decoder.push(&buffer[..count]),
            Ok(_) | Err(_) => return,
        }
    }
}

/// What the command says to the client, until the last frame.
async fn send(mut write: WriteHalf<TokioIo<Upgraded>>, mut output: mpsc::Receiver<ExecOutput>) {
    let mut is_over = false;
    let mut buffer = Vec::new();
    while !is_over {
        let frame = output.recv().await.unwrap_or_else(lost);
        is_over = matches!(frame, ExecOutput::Exit(_) | ExecOutput::Failed(_));
        buffer.clear();
        frame.encode(&mut buffer);
        if write.write_all(&buffer).await.is_err() || write.flush().await.is_err() {
            return;
        }
    }
    // The client has its answer; whether it says goodbye does not matter.
    let _ = write.shutdown().await;
}

fn lost() -> ExecOutput {
    let refused =
        Refused::unavailable("the agent stopped telling about the command: how it ended is not known");
    ExecOutput::Failed(refused.problem())
}
