//! Elections: who creates the election's record leads, as long as the lease lives that owns it.
//!
//! ```text
//! look ──held──▶ watch the record until it is deleted, with a lease at hand ─┐
//!   └─free──▶ lease ──▶ create the record if absent ◀──────────────────────┘
//!                         ├─conflict──▶ look
//!                         └─won──▶ signs of life … lost: the lease ended, or could end before the next sign arrives
//! ```
//!
//! A candidate that waits has its lease already, so that a hand-over costs one write to end the old one and one to win.
//!
//! The record's create revision is the fence. A leader that hears nothing from etcd gives up half a second before its
//! lease could end, by the monotonic clock: nobody else can lead before that.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use kogge_host::backoff::Backoff;
use kogge_host::tasks::OnPanic;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::commit::check_key_length;
use crate::{
    CampaignError, Commit, CommitError, Consistency, Guard, Key, Leadership, LeaseError, LeaseId,
    MAX_VALUE_BYTES, ReadError, Refusal, Revision, Unavailable,
};

use super::follow::{Answer, Feed};
use super::history;
use super::keyspace::Keyspace;
use super::leases;
use super::link::Link;
use super::read;
use super::transaction;
use super::tries::jittered;
use super::wire;
use super::wire::event::EventType;

/// How long before its lease could end a leader gives up.
const MARGIN: Duration = Duration::from_millis(500);
const BETWEEN_SIGNS: Duration = Duration::from_secs(1);
const RETRY_SIGN: Duration = Duration::from_millis(100);

struct Candidate<'a> {
    link: &'a Arc<Link>,
    keys: &'a Keyspace,
    key: Key,
    value: Bytes,
}

/// A lease of an election, ended without waiting when dropped.
struct Term {
    link: Arc<Link>,
    lease: LeaseId,
    /// Until when it lives at least.
    lives_until: Instant,
    lost: CancellationToken,
}

impl Term {
    /// How long it lives at least, without another sign of life.
    fn left(&self) -> Duration {
        self.lives_until.saturating_duration_since(Instant::now())
    }

    async fn prolong(&mut self) -> Result<(), LeaseError> {
        let asked = Instant::now();
        let ttl = leases::keep_alive(&self.link, self.lease, asked + BETWEEN_SIGNS).await?;
        self.lives_until = asked + ttl;
        Ok(())
    }
}

impl Drop for Term {
    fn drop(&mut self) {
        self.lost.cancel();
        let (link, lease) = (Arc::clone(&self.link), self.lease);
        let end = async move {
            if let Err(error) = leases::revoke(&link, lease).await {
                tracing::debug!(%error, "lease of an election ends by itself");
            }
        };
        self.link.bid_farewell("end of a candidacy", end);
    }
}

/// Waits for victory.
pub(super) async fn campaign(
    link: &Arc<Link>,
    keys: &Keyspace,
    name: &str,
    value: Bytes,
) -> Result<Leadership, CampaignError> {
    let candidate = Candidate { link, keys, key: Key::election(name), value };
    candidate.stand().await.map_err(|source| CampaignError { name: name.to_owned(), source })
}

impl Candidate<'_> {
    async fn stand(&self) -> Result<Leadership, CommitError> {
        check_key_length(&self.key)?;
        if self.value.len() > MAX_VALUE_BYTES {
            let (key, bytes) = (self.key.clone(), self.value.len());
            return Err(Refusal::ValueTooLarge { key, bytes }.into());
        }
        let mut wait = Backoff::new(RETRY_SIGN, BETWEEN_SIGNS);
        let (mut has_waited, mut ready) = (false, None);
        loop {
            match self.round(&mut has_waited, &mut ready).await {
                Ok(Some(leadership)) => return Ok(leadership),
                Ok(None) => wait.reset(),
                // Who has seen another one lead goes on waiting while etcd is away.
                Err(error) if has_waited && is_passing(&error) => {
                    tracing::warn!(%error, election = %self.key, "candidate waits for etcd");
                    sleep(jittered(wait.wait())).await;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Waits until nobody leads, then tries to.
    async fn round(
        &self,
        has_waited: &mut bool,
        ready: &mut Option<Term>,
    ) -> Result<Option<Leadership>, CommitError> {
        let found =
            read::get(self.link, self.keys, &self.key, Consistency::Linearizable).await.map_err(reading)?;
        if found.entry.is_some() {
            *has_waited = true;
            tokio::select! {
                vacant = self.wait_for_vacancy(found.revision) => vacant.map_err(Unavailable::new)?,
                never = self.keep_ready(ready) => match never {},
            }
        }
        let term = match ready.take().filter(|term| term.left() > self.link.config.leadership_ttl / 2) {
            Some(term) => term,
            None => self.term().await.map_err(granting)?,
        };
        let commit = Commit::new().when(Guard::Absent(self.key.clone())).put_leased(
            self.key.clone(),
            self.value.clone(),
            term.lease,
        );
        match transaction::commit(self.link, self.keys, &commit).await {
            Ok(fence) => Ok(Some(self.lead(term, fence))),
            Err(CommitError::Conflict { .. }) => {
                *ready = Some(term);
                Ok(None)
            }
            Err(CommitError::LeaseEnded { .. }) => Ok(None),
            Err(CommitError::OutcomeUnknown { .. }) => self.read_back(term).await,
            Err(error) => Err(error),
        }
    }

    async fn term(&self) -> Result<Term, LeaseError> {
        let asked = Instant::now();
        let lease = leases::grant(self.link, self.link.config.leadership_ttl).await?;
        Ok(Term {
            link: Arc::clone(self.link),
            lease: lease.id,
            lives_until: asked + lease.ttl,
            lost: CancellationToken::new(),
        })
    }

    /// Keeps a lease at hand for as long as it is awaited. Without one, winning takes a write more.
    async fn keep_ready(&self, ready: &mut Option<Term>) -> Infallible {
        loop {
            let kept = match ready {
                None => self.term().await.map(|term| *ready = Some(term)),
                Some(term) => term.prolong().await,
            };
            if let Err(error) = kept {
                tracing::debug!(%error, election = %self.key, "candidate has no lease at hand");
                *ready = None;
            }
            sleep(BETWEEN_SIGNS.min(self.link.config.leadership_ttl / 3)).await;
        }
    }

    /// The record may be ours.
    async fn read_back(&self, term: Term) -> Result<Option<Leadership>, CommitError> {
        let found =
            read::get(self.link, self.keys, &self.key, Consistency::Linearizable).await.map_err(reading)?;
        let ours = found.entry.filter(|entry| entry.lease == Some(term.lease));
        Ok(ours.map(|entry| self.lead(term, entry.created)))
    }

    fn lead(&self, term: Term, fence: Revision) -> Leadership {
        let (lost, link) = (term.lost.clone(), Arc::clone(self.link));
        let (certain, told) = watch::channel((term.lives_until - MARGIN).into_std());
        let forgetting = history::keep_short(Arc::clone(&link), self.keys.clone(), lost.clone());
        self.link.tasks.spawn(format!("history under {}", self.key), OnPanic::Log, forgetting);
        let signs = signs_of_life(link, term.lease, term.lives_until, lost.clone(), certain);
        self.link.tasks.spawn(format!("leadership of {}", self.key), OnPanic::Log, signs);
        Leadership::new(self.key.clone(), fence, lost, move || drop(term)).certain_until(told)
    }

    /// Until the record is deleted, or that cannot be told any more.
    async fn wait_for_vacancy(&self, seen: Revision) -> Result<(), String> {
        let line = self.link.own_line().await.map_err(|unreached| unreached.reason)?;
        let (key, start) = (self.keys.outer(&self.key), wire::number(seen.next()));
        let mut feed = Feed::open(self.link, line, key, Bytes::new(), start).await?;
        let token = self.link.tasks.token();
        loop {
            let answer = tokio::select! {
                answer = feed.next(self.link) => answer?,
                () = token.cancelled() => return Err("the engine was closed".to_owned()),
            };
            match answer {
                Answer::Events(answer)
                    if answer.events.iter().all(|event| event.r#type() != EventType::Delete) => {}
                Answer::Events(_) | Answer::Compacted(_) => return Ok(()),
            }
        }
    }
}

/// Keeps the lease until it is lost, given up, or the engine is closed.
async fn signs_of_life(
    link: Arc<Link>,
    lease: LeaseId,
    mut lives_until: Instant,
    lost: CancellationToken,
    certain: watch::Sender<std::time::Instant>,
) {
    let closed = link.tasks.token();
    let mut next =
        Instant::now() + BETWEEN_SIGNS.min(lives_until.saturating_duration_since(Instant::now()) / 3);
    loop {
        let give_up = lives_until - MARGIN;
        tokio::select! {
            () = closed.cancelled() => break,
            () = lost.cancelled() => return,
            () = sleep_until(next.min(give_up)) => {}
        }
        let asked = Instant::now();
        if asked >= give_up {
            tracing::warn!(%lease, "leader heard nothing from etcd for too long");
            break;
        }
        match leases::keep_alive(&link, lease, give_up.min(asked + BETWEEN_SIGNS)).await {
            Ok(ttl) => {
                lives_until = asked + ttl;
                certain.send_replace((lives_until - MARGIN).into_std());
                next = asked + BETWEEN_SIGNS.min(ttl / 3);
            }
            Err(LeaseError::NotFound { .. }) => {
                tracing::warn!(%lease, "leader was deposed");
                break;
            }
            Err(error) => {
                tracing::debug!(%error, "sign of life was not answered");
                next = Instant::now() + RETRY_SIGN;
            }
        }
    }
    lost.cancel();
}

/// Whether waiting may help.
const fn is_passing(error: &CommitError) -> bool {
    matches!(error, CommitError::Unavailable(_) | CommitError::OutcomeUnknown { .. })
}

fn reading(error: ReadError) -> CommitError {
    match error {
        ReadError::Unavailable(unavailable) => CommitError::Unavailable(unavailable),
        ReadError::Compacted { .. } => unreachable!("a lookup asks for no revision"),
    }
}

fn granting(error: LeaseError) -> CommitError {
    match error {
        LeaseError::Unavailable(unavailable) => CommitError::Unavailable(unavailable),
        LeaseError::NoSpace => CommitError::NoSpace,
        LeaseError::NotFound { .. } | LeaseError::TtlOutOfBounds { .. } => {
            CommitError::Unavailable(Unavailable::new(error.to_string()))
        }
    }
}
