//! Following the server's bulletins, on the connection of the session: another one would double what thousands of
//! agents cost a server. A stream has a window of its own, so a long bulletin holds up orders by no more than that.

use std::convert::Infallible;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use kogge_model::reason::Reason;
use tokio::sync::{mpsc, watch};
use tonic::Streaming;

use super::connection::{Client, flow};
use super::shared::Shared;
use crate::bounds::{MAX_BULLETIN_BYTES, MAX_PIECES};
use crate::timing::jitter;
use crate::wire::{FollowDown, FollowUp, follow_down};

/// Before the next try, on average half of it.
const PAUSE: Duration = Duration::from_millis(500);

/// Follows the server of a session for as long as that lasts. The last bulletin stays in force afterwards.
pub(super) async fn run(shared: &Shared, client: &Client, bulletins: &watch::Sender<Bytes>) -> Infallible {
    loop {
        if let Err(reason) = follow(shared, client.clone(), bulletins).await {
            tracing::debug!(%reason, "bulletins stop coming for now");
        }
        tokio::time::sleep(jitter(PAUSE / 10, PAUSE)).await;
    }
}

async fn follow(shared: &Shared, mut client: Client, bulletins: &watch::Sender<Bytes>) -> Result<(), Reason> {
    let (up, notes) = mpsc::channel(MAX_PIECES);
    let answer = tokio::time::timeout(shared.config.timing.answer, client.follow(flow(notes))).await;
    let answer = answer.map_err(|_| Reason::new("the server does not answer"))?;
    let mut down = answer.map_err(|status| Reason::new(status.message().to_owned()))?.into_inner();
    tokio::select! {
        ended = hear(&mut down, bulletins) => ended,
        () = tell(shared.ports.note.clone(), &up) => Ok(()),
    }
}

/// Sends the newest note, now and whenever there is a newer one.
async fn tell(mut notes: watch::Receiver<Bytes>, up: &mpsc::Sender<FollowUp>) {
    notes.mark_changed();
    while notes.changed().await.is_ok() {
        let note = notes.borrow_and_update().clone();
        if !note.is_empty() && up.send(FollowUp { note }).await.is_err() {
            return;
        }
    }
    std::future::pending().await
}

async fn hear(down: &mut Streaming<FollowDown>, bulletins: &watch::Sender<Bytes>) -> Result<(), Reason> {
    let mut coming: Option<(usize, BytesMut)> = None;
    loop {
        let part = down.message().await.map_err(|status| Reason::new(status.message().to_owned()))?;
        match (part.map(|part| part.part), &mut coming) {
            (None, _) => return Ok(()),
            (Some(Some(follow_down::Part::SizeBytes(size))), coming) => {
                let size = usize::try_from(size).ok().filter(|size| (1..=MAX_BULLETIN_BYTES).contains(size));
                let size = size.ok_or_else(|| Reason::new("the server sends too long a bulletin"))?;
                *coming = Some((size, BytesMut::new()));
            }
            (Some(Some(follow_down::Part::Data(piece))), Some((size, bytes))) => {
                bytes.extend_from_slice(&piece);
                if bytes.len() > *size {
                    return Err(Reason::new("the server sends more than it said"));
                }
            }
            // Newer servers may say more.
            (Some(_), _) => {}
        }
        if let Some((_, bytes)) = coming.take_if(|(size, bytes)| bytes.len() == *size) {
            bulletins.send_replace(bytes.freeze());
        }
    }
}
