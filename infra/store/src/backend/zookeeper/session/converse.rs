//! One connection: requests out, answers in, in the same order; pings when there is nothing to ask.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use tokio::io::AsyncWriteExt;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::super::wire::{self, Answer, Code, Header, Malformed, Shape};
use super::connect::{Reader, Writer};
use super::watches::Watcher;
use super::{Failure, Request, Shared};

/// Requests put into one write.
const AT_ONCE: usize = 64;
/// How long the ensemble may take to answer that our session is closed.
const FAREWELL: Duration = Duration::from_millis(500);

/// What a connection serves.
pub(super) struct Talk<'a> {
    pub(super) shared: &'a Shared,
    pub(super) closing: &'a CancellationToken,
    /// The session's.
    pub(super) timeout: Duration,
    pub(super) is_private: bool,
}

/// Sent, not answered.
struct Pending {
    xid: i32,
    shape: Shape,
    watcher: Option<Watcher>,
    answer: oneshot::Sender<Result<Answer, Failure>>,
}

#[derive(Default)]
struct Unanswered {
    requests: VecDeque<Pending>,
    pings: u32,
}

type Waiting = Mutex<Unanswered>;

/// Until the connection is lost; why it was. Everything sent and not answered is answered as lost.
pub(super) async fn converse(
    talk: &Talk<'_>,
    reader: Reader,
    writer: Writer,
    requests: &mut mpsc::Receiver<Request>,
    last_zxid: &mut i64,
) -> String {
    let waiting = Waiting::default();
    let reason = tokio::select! {
        reason = listen(talk, reader, &waiting, last_zxid) => reason,
        reason = speak(talk, writer, requests, &waiting) => reason,
    };
    let lost: Arc<str> = reason.as_str().into();
    for pending in lock(&waiting).requests.drain(..) {
        let _ = pending.answer.send(Err(Failure::Lost(Arc::clone(&lost))));
    }
    reason
}

async fn listen(talk: &Talk<'_>, mut reader: Reader, waiting: &Waiting, last_zxid: &mut i64) -> String {
    // A third of the session without a word from us makes a ping; another third is time enough to answer it.
    let patience = talk.timeout * 2 / 3;
    loop {
        let packet = match tokio::time::timeout(patience, reader.next()).await {
            Ok(Some(Ok(packet))) => packet.freeze(),
            Ok(Some(Err(error))) => return error.to_string(),
            Ok(None) => return "it closed the connection".to_owned(),
            Err(_) => return format!("it said nothing for {patience:?}"),
        };
        match hear(talk.shared, packet, waiting, last_zxid) {
            Ok(None) => {}
            Ok(Some(reason)) => return reason,
            Err(Malformed) => return "it does not speak zookeeper's protocol".to_owned(),
        }
    }
}

/// One packet; a reason if it ends the connection.
fn hear(
    shared: &Shared,
    packet: Bytes,
    waiting: &Waiting,
    last_zxid: &mut i64,
) -> Result<Option<String>, Malformed> {
    let (header, body) = Header::read(packet)?;
    *last_zxid = header.zxid.max(*last_zxid);
    match header.xid {
        wire::XID_WATCH => shared.watches().fire(&Answer::read_event(body)?),
        wire::XID_PING => {
            let mut waiting = lock(waiting);
            waiting.pings = waiting.pings.checked_sub(1).ok_or(Malformed)?;
        }
        xid => {
            let pending = lock(waiting).requests.pop_front().filter(|next| next.xid == xid);
            let pending = pending.ok_or(Malformed)?;
            if matches!(header.code, Code::SESSION_EXPIRED | Code::SESSION_MOVED) {
                let reason = header.code.to_string();
                let _ = pending.answer.send(Err(Failure::Lost(reason.as_str().into())));
                return Ok(Some(reason));
            }
            let answer = match header.code {
                Code(0) => Ok(Answer::read(pending.shape, body)?),
                // Some servers put the reason of a refused transaction into the header too.
                _ if pending.shape == Shape::Multi && !body.is_empty() => {
                    Ok(Answer::read(pending.shape, body)?)
                }
                code => Err(Failure::Refused { index: 0, code }),
            };
            if let Some(watcher) = pending.watcher {
                shared.watches().add(watcher, &answer);
            }
            let _ = pending.answer.send(answer);
        }
    }
    Ok(None)
}

async fn speak(
    talk: &Talk<'_>,
    mut writer: Writer,
    requests: &mut mpsc::Receiver<Request>,
    waiting: &Waiting,
) -> String {
    let (mut xid, mut taken) = (0, Vec::with_capacity(AT_ONCE));
    loop {
        let mut out = BytesMut::new();
        tokio::select! {
            biased;
            () = talk.closing.cancelled() => {
                return say_farewell(&mut writer, xid + 1).await;
            }
            count = requests.recv_many(&mut taken, AT_ONCE) => {
                if count == 0 {
                    return "nobody asks any more".to_owned();
                }
                for request in taken.drain(..) {
                    xid = if xid == i32::MAX { 1 } else { xid + 1 };
                    enqueue(request, xid, talk.is_private, waiting, &mut out);
                }
            }
            () = tokio::time::sleep(talk.timeout / 3) => {
                lock(waiting).pings += 1;
                out.extend_from_slice(&wire::ping());
            }
        }
        let written = async {
            writer.write_all(&out).await?;
            writer.flush().await
        };
        if let Err(error) = written.await {
            let error: std::io::Error = error;
            return error.to_string();
        }
    }
}

fn enqueue(request: Request, xid: i32, is_private: bool, waiting: &Waiting, out: &mut BytesMut) {
    let Request { call, watcher, answer } = request;
    let packet = call.packet(xid, is_private);
    if packet.len() - 4 > wire::MAX_PACKET_BYTES {
        // The server would only close the connection.
        let _ = answer.send(Err(Failure::Refused { index: 0, code: Code(-3) }));
        return;
    }
    out.extend_from_slice(&packet);
    let pending = Pending { xid, shape: call.shape(), watcher, answer };
    lock(waiting).requests.push_back(pending);
}

/// Closes the session. The listener ends the conversation when the server hangs up.
async fn say_farewell(writer: &mut Writer, xid: i32) -> String {
    if writer.write_all(&wire::close(xid)).await.is_ok() && writer.flush().await.is_ok() {
        tokio::time::sleep(FAREWELL).await;
    }
    "it was closed".to_owned()
}

fn lock(waiting: &Waiting) -> std::sync::MutexGuard<'_, Unanswered> {
    waiting.lock().unwrap_or_else(PoisonError::into_inner)
}
