//! What all agents shall know: each gets the newest bulletin, and skips those that came and went meanwhile.

use std::sync::Arc;

use bytes::Bytes;
use kogge_model::id::AgentId;
use tokio::sync::mpsc;
use tonic::Streaming;

use super::ports::Leader;
use super::shared::Shared;
use crate::bounds::CHUNK_BYTES;
use crate::wire::{FollowDown, FollowUp, follow_down};

type Down = mpsc::Sender<Box<FollowDown>>;

/// Lives as long as the agent follows.
pub(super) async fn run(shared: Arc<Shared>, agent: AgentId, up: Streaming<FollowUp>, down: Down) {
    let token = shared.group.token();
    let mut leader = shared.ports.leader.clone();
    tokio::select! {
        () = token.cancelled() => {}
        _ = leader.wait_for(|leader| *leader != Leader::Here) => {}
        () = tell(&shared, &down) => {}
        () = hear(&shared, &agent, up) => {}
    }
    shared.ports.notes.gone(&agent);
}

async fn tell(shared: &Shared, down: &Down) {
    let mut bulletins = shared.ports.bulletin.clone();
    bulletins.mark_changed();
    while bulletins.changed().await.is_ok() {
        let bulletin = bulletins.borrow_and_update().clone();
        if !bulletin.is_empty() && send(bulletin, down).await.is_err() {
            return;
        }
    }
    // The last one stays in force.
    std::future::pending().await
}

async fn send(mut bulletin: Bytes, down: &Down) -> Result<(), ()> {
    let size = u64::try_from(bulletin.len()).unwrap_or(u64::MAX);
    let say = |part| down.send(Box::new(FollowDown { part: Some(part) }));
    say(follow_down::Part::SizeBytes(size)).await.map_err(drop)?;
    while !bulletin.is_empty() {
        let piece = bulletin.split_to(bulletin.len().min(CHUNK_BYTES));
        say(follow_down::Part::Data(piece)).await.map_err(drop)?;
    }
    Ok(())
}

async fn hear(shared: &Shared, agent: &AgentId, mut up: Streaming<FollowUp>) {
    while let Ok(Some(said)) = up.message().await {
        shared.ports.notes.heard(agent, said.note);
    }
}
