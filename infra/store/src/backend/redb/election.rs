//! Elections among the candidates in this process: no other process can hold the store.
//!
//! The winner's record is owned by a lease without a TTL, so that leading costs no timer. It ends when the
//! leader resigns, or when the store is opened again. The record's create revision is the fence.

use std::sync::Arc;

use bytes::Bytes;
use tokio_util::sync::CancellationToken;

use crate::commit::check_key_length;
use crate::{
    CampaignError, Change, Commit, CommitError, Event, Guard, Key, Leadership, LeaseId, MAX_VALUE_BYTES,
    ReadError, Refusal, Revision,
};

use super::engine::Engine;
use super::follow::follow;
use super::queue::{Action, Done};

/// Ends the candidate's lease when the candidate goes, elected or not.
struct Candidacy {
    engine: Arc<Engine>,
    lease: LeaseId,
}

impl Drop for Candidacy {
    fn drop(&mut self) {
        self.engine.queue.abandon(self.lease);
    }
}

/// Waits for victory.
pub(super) async fn campaign(
    engine: &Arc<Engine>,
    name: &str,
    value: Bytes,
) -> Result<Leadership, CampaignError> {
    stand(engine, name, value).await.map_err(|source| CampaignError { name: name.to_owned(), source })
}

async fn stand(engine: &Arc<Engine>, name: &str, value: Bytes) -> Result<Leadership, CommitError> {
    let key = Key::election(name);
    check_key_length(&key)?;
    if value.len() > MAX_VALUE_BYTES {
        return Err(Refusal::ValueTooLarge { key, bytes: value.len() }.into());
    }
    let lost = CancellationToken::new();
    let Done::Granted(lease) = engine.ask(Action::Grant { ttl_ms: None, lost: lost.clone() }).await? else {
        unreachable!("a grant is answered with a lease")
    };
    let candidacy = Candidacy { engine: Arc::clone(engine), lease };
    loop {
        let commit =
            Commit::new().when(Guard::Absent(key.clone())).put_leased(key.clone(), value.clone(), lease);
        match engine.ask(Action::Commit(commit)).await {
            Ok(Done::At(fence)) => return Ok(Leadership::new(key, fence, lost, move || drop(candidacy))),
            Ok(Done::Granted(_)) => unreachable!("a commit is answered with a revision"),
            Err(CommitError::Conflict { .. }) => wait_for_vacancy(engine, &key).await?,
            Err(error) => return Err(error),
        }
    }
}

/// Until the record is gone, or seems to be.
async fn wait_for_vacancy(engine: &Arc<Engine>, key: &Key) -> Result<(), CommitError> {
    let sought = key.clone();
    let found = engine.on_pool(move |engine| engine.lookup(&sought)).await.map_err(as_commit_error)?;
    if found.entry.is_none() {
        return Ok(());
    }
    let from: Revision = found.revision.next();
    let mut watch = follow(Arc::clone(engine), key.clone(), from);
    while let Some(change) = watch.next().await {
        match change {
            Change::Batch(batch) => {
                if batch
                    .events
                    .iter()
                    .any(|event| matches!(event, Event::Delete { key: gone } if gone == key))
                {
                    return Ok(());
                }
            }
            Change::Progress(_) => {}
            Change::Compacted { .. } => return Ok(()),
        }
    }
    Err(CommitError::Unavailable(engine.why_unavailable()))
}

fn as_commit_error(error: ReadError) -> CommitError {
    match error {
        ReadError::Unavailable(unavailable) => CommitError::Unavailable(unavailable),
        ReadError::Compacted { .. } => unreachable!("a lookup asks for no revision"),
    }
}
