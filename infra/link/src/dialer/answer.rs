//! Answering a call into a task, on a connection of its own.

use bytes::Bytes;
use kogge_model::reason::Reason;
use kogge_model::view::exec::{ExecInput, FrameDecoder};
use tokio::sync::mpsc;
use tonic::Streaming;

use super::connection::flow;
use super::shared::Shared;
use crate::address::ServerAddress;
use crate::bounds::MAX_PIECES;
use crate::reach::{ExecLine, LogBatches, Wish, encode_batch, read_frames, write_frames};
use crate::refusal::{Refusal, RefusalKind};
use crate::wire::{Call, Opened, ReachDown, ReachUp, reach_up};

type Up = mpsc::Sender<ReachUp>;
type Down = Streaming<ReachDown>;

/// Answers until there is no more to say, or nobody listens.
pub(super) async fn answer(shared: &Shared, server: &ServerAddress, call: Call) {
    let Some((up, down)) = claim(shared, server, call.call).await else { return };
    match serde_json::from_slice(&call.wish) {
        Ok(wish) => grant(shared, wish, up, down).await,
        Err(error) => {
            let reason = Reason::new(format!("agent {} does not understand the call: {error}", shared.agent));
            refuse(reason, up, down).await;
        }
    }
}

async fn claim(shared: &Shared, server: &ServerAddress, call: u64) -> Option<(Up, Down)> {
    let mut client = match shared.connect(server).await {
        Ok(reached) => reached.client,
        Err(error) => {
            tracing::warn!(%error, "a call cannot be answered");
            return None;
        }
    };
    let (up, frames) = mpsc::channel(MAX_PIECES);
    up.try_send(frame(reach_up::Frame::Claim(call))).expect("a new channel has room");
    let claimed = tokio::time::timeout(shared.config.timing.answer, client.reach(flow(frames))).await;
    match claimed.unwrap_or_else(|_| Err(tonic::Status::deadline_exceeded("the server does not answer"))) {
        Ok(down) => Some((up, down.into_inner())),
        Err(status) => {
            tracing::debug!(error = status.message(), "a call was not waited for");
            None
        }
    }
}

async fn grant(shared: &Shared, wish: Wish, up: Up, mut down: Down) {
    let door = &shared.ports.tasks;
    match wish {
        Wish::Logs { tasks, wish } => match door.logs(tasks, wish).await {
            Ok(batches) => send_logs(batches, up, down).await,
            Err(reason) => refuse(reason, up, down).await,
        },
        Wish::Exec { task, request } => match door.exec(task, request).await {
            Ok(line) => carry(line, up, down).await,
            Err(reason) => refuse(reason, up, down).await,
        },
        Wish::Stats { task } => match door.stats(task).await {
            Ok(stats) => {
                let stats = serde_json::to_vec(&stats).expect("stats are plain data with text keys");
                let _ = up.send(frame(reach_up::Frame::Opened(Opened {}))).await;
                let _ = up.send(data(stats.into())).await;
                finish(up, &mut down).await;
            }
            Err(reason) => refuse(reason, up, down).await,
        },
    }
}

async fn send_logs(mut batches: LogBatches, up: Up, mut down: Down) {
    let sending = async {
        if up.send(frame(reach_up::Frame::Opened(Opened {}))).await.is_err() {
            return;
        }
        while let Some(batch) = batches.recv().await {
            for piece in encode_batch(&batch) {
                if up.send(data(piece)).await.is_err() {
                    return;
                }
            }
        }
    };
    tokio::select! {
        () = sending => {}
        // A reader of logs says nothing: this is its end.
        _ = down.message() => return,
    }
    finish(up, &mut down).await;
}

async fn carry(line: ExecLine, up: Up, mut down: Down) {
    let ExecLine { input, mut output } = line;
    let sending = async {
        if up.send(frame(reach_up::Frame::Opened(Opened {}))).await.is_err() {
            return;
        }
        while let Some(said) = output.recv().await {
            if up.send(data(write_frames(&said))).await.is_err() {
                return;
            }
        }
    };
    tokio::select! {
        () = sending => {}
        // Nobody listens any more: dropping both ends kills the program.
        () = type_in(&mut down, input) => return,
    }
    finish(up, &mut down).await;
}

/// Passes input on; returns when the other side has gone.
async fn type_in(down: &mut Down, input: mpsc::Sender<ExecInput>) {
    let mut decoder = FrameDecoder::default();
    while let Ok(Some(piece)) = down.message().await {
        let Ok(typed) = read_frames::<ExecInput>(&mut decoder, &piece.data) else { return };
        for typed in typed {
            // A program that has closed its input may still have much to say.
            let _ = input.send(typed).await;
        }
    }
}

async fn refuse(reason: Reason, up: Up, mut down: Down) {
    let refusal = Refusal { kind: RefusalKind::Unavailable, reason };
    let _ = up.send(frame(reach_up::Frame::Refusal(refusal.into()))).await;
    finish(up, &mut down).await;
}

/// Says that this is all, and stays until it has been heard: leaving earlier would cut off what is on its way.
async fn finish(up: Up, down: &mut Down) {
    drop(up);
    while let Ok(Some(_)) = down.message().await {}
}

const fn frame(frame: reach_up::Frame) -> ReachUp {
    ReachUp { frame: Some(frame) }
}

const fn data(piece: Bytes) -> ReachUp {
    frame(reach_up::Frame::Data(piece))
}
