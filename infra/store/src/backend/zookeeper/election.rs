//! Elections: the first in line has its record written, and leads as long as its node and its lease live.
//!
//! ```text
//! node first in line ──▶ transaction: check the node, end the former leader's lease, new lease, put the record
//!                                                                                           │ its revision: the fence
//! session ends ──▶ node gone ──▶ the next in line does the same          leads ◀────────────┘
//! ```
//!
//! The record is an ordinary entry that a guard can look at. Between the end of a session and the next leader's
//! transaction the record is still there; so every transaction with such a guard also checks the node.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use kogge_host::tasks::OnPanic;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::commit::check_key_length;
use crate::{CampaignError, CommitError, Key, Leadership, LeaseId, MAX_VALUE_BYTES, Refusal, Unavailable};

use super::candidate::{Candidate, Won};
use super::chance::Chance;
use super::engine::{Engine, away};
use super::queue::{Abandoned, Action, Done};
use super::session::Failure;
use super::wire::{Code, Op};

/// Between two tries of what the ensemble did not take.
const RETRY: Duration = Duration::from_millis(200);
/// How long before its session could end a leader stops, unless the session is very short.
const MARGIN: Duration = Duration::from_millis(500);
/// Proofs of life in the time of a session.
const BEATS: u32 = 4;

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
    let parent = engine.layout.election(name);
    let mut chance = Chance::draw();
    let mut candidate = Candidate::new(engine, parent.clone(), chance.name());
    loop {
        let won = tokio::select! {
            won = candidate.win() => won.map_err(as_commit_error)?,
            why = engine.gone() => return Err(CommitError::Unavailable(why)),
        };
        let (key, value, node) = (key.clone(), value.clone(), won.node.clone());
        match engine.ask(Action::TakeOver { key: key.clone(), value, node }).await {
            Ok(Done::Elected { lease, fence }) => {
                candidate.stay();
                let lost = CancellationToken::new();
                let holder = Holder { engine: Arc::clone(engine), lease };
                engine.tell_end(lease, lost.clone());
                let certain = watch_session(engine, &won, lost.clone());
                let leadership = Leadership::new(key, fence, lost, move || drop(holder));
                return Ok(leadership.certain_until(certain));
            }
            Ok(_) => unreachable!("a takeover is answered with an election"),
            // The session has ended meanwhile, or nobody knows: from the end of the line again.
            Err(CommitError::Conflict { .. } | CommitError::OutcomeUnknown { .. }) => {
                candidate = Candidate::new(engine, parent.clone(), chance.name());
            }
            Err(CommitError::Unavailable(_)) if engine.ended.borrow().is_none() => {
                tokio::time::sleep(RETRY).await;
            }
            Err(error) => return Err(error),
        }
    }
}

/// Ends the leader's lease when the leader goes.
struct Holder {
    engine: Arc<Engine>,
    lease: LeaseId,
}

impl Drop for Holder {
    fn drop(&mut self) {
        self.engine.queue.abandon(Abandoned::Lease(self.lease));
    }
}

/// Tells the leader that it lost before its session could have ended: by our monotonic clock alone, without
/// waiting for the ensemble to say so.
fn watch_session(engine: &Arc<Engine>, won: &Won, lost: CancellationToken) -> watch::Receiver<Instant> {
    // A session is certain for longer than the first write takes to prove it.
    let first = engine.session.timeout(won.term).map_or(Duration::ZERO, |timeout| timeout / 2);
    let (certain, told) = watch::channel(Instant::now() + first);
    let (watched, term, closing) = (Arc::clone(engine), won.term, engine.tasks.token());
    engine.tasks.spawn("zookeeper-leadership", OnPanic::Log, async move {
        tokio::select! {
            () = outlive(&watched, term, &certain) => {}
            () = closing.cancelled() => {}
            () = lost.cancelled() => {}
        }
        lost.cancel();
    });
    told
}

/// Returns shortly before our session of this term could have ended.
///
/// That a member answers proves nothing: it may be cut off from those who end sessions, and go on answering. Only
/// a write proves that a majority knew our session when it was sent. That the write before it was heard as a sign
/// of life has been passed on by then, as members do twice a tick, and no session is shorter than two ticks.
async fn outlive(engine: &Engine, term: u64, certain: &watch::Sender<Instant>) {
    let Some(timeout) = engine.session.timeout(term) else { return };
    let (beat, margin) = (timeout / BEATS, MARGIN.min(timeout / 8));
    let mut last = Instant::now();
    let mut passed_on = last.checked_sub(beat).unwrap_or(last);
    while engine.session.timeout(term).is_some() {
        certain.send_replace(passed_on + timeout - margin);
        let until = tokio::time::Instant::from_std(passed_on + timeout - margin);
        let sent = Instant::now();
        let set = Op::SetData { path: engine.layout.barrier(), data: Bytes::new(), version: -1 };
        match tokio::time::timeout_at(until, engine.session.multi(vec![set])).await {
            Err(_) => return,
            Ok(Ok(_)) => {
                (passed_on, last) = (last, sent);
                tokio::time::sleep_until((sent + beat).into()).await;
            }
            Ok(Err(_)) if tokio::time::Instant::now() >= until => return,
            Ok(Err(_)) => tokio::time::sleep(timeout / 64).await,
        }
    }
}

fn as_commit_error(failure: Failure) -> CommitError {
    match failure {
        Failure::Away(reason) | Failure::Lost(reason) => CommitError::Unavailable(away(&reason)),
        Failure::Refused { code: Code::QUOTA_EXCEEDED, .. } => CommitError::NoSpace,
        failure => CommitError::Unavailable(Unavailable::new(failure.to_string())),
    }
}
