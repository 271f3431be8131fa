//! The one task that follows the log and appends to it.
//!
//! ```text
//! take all that waits ──▶ plan on the copy ──▶ one transaction ──▶ apply to the copy ──▶ answers ──▶ take …
//!          ▲                    ▲                    │
//!          │                    └── catch up ◀───────┤ somebody else was first
//!          │                    └── look in the log ◀┘ the answer was lost
//!          └── nothing waits: sleep until the head changes, then catch up
//! ```
//!
//! What is refused or has no effect is answered only after the copy is known to be the newest there is.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio_util::sync::CancellationToken;

use crate::CommitError;

use super::catch_up::{Behind, follow_to};
use super::chance::Chance;
use super::draft::Learned;
use super::engine::{Engine, PATIENCE, away};
use super::head::Head;
use super::plan::{Base, Lesson, Plan};
use super::queue::{Action, Reply, Request};
use super::record::Record;
use super::session::{Failure, Fired, Link};
use super::wire::{Code, MultiDone, Op};

/// Size of the records of one transaction: what comes with it fits into a packet too.
const GROUP_BYTES: usize = 1_015_000;
/// How long requests are tried while others write all the time.
const CONTENTION: Duration = Duration::from_secs(10);
/// How long it is tried to learn what became of a transaction whose answer was lost.
const UNSURE: Duration = Duration::from_secs(8);
/// How long a writer steps back for one that could not get in between.
const STEP_BACK: Duration = Duration::from_millis(20);
/// After so many lost races a writer asks the others to step back.
const RACES: u32 = 2;
/// Between two tries of what should not have failed.
const RETRY: Duration = Duration::from_millis(200);
/// Records that readers have to apply. Beyond it nobody looks after the log, and writing must stop.
const MOST_RECORDS: u64 = 100_000;

/// The keeper's own state: where the copy is.
pub(super) struct Keeper {
    pub(super) engine: Arc<Engine>,
    pub(super) head: Head,
    /// Of the head node.
    pub(super) version: i32,
    /// Of the turn node.
    pub(super) turn: i32,
    pub(super) chance: Chance,
}

/// A transaction that was sent, and whose answer never came.
struct Unsure {
    attempt: u128,
    index: u64,
    replies: Vec<Reply>,
}

/// One group of requests, until it is answered.
struct Round {
    requests: Vec<Request>,
    learned: Learned,
    unsure: Vec<Unsure>,
    /// The copy was the newest at this index, and these nodes existed.
    confirmed: Option<(u64, Vec<String>)>,
    begun: Instant,
    lost_races: u32,
}

/// What to do with a round next.
enum Next {
    Answer(Vec<Reply>),
    Again,
    Wait,
    Fail(CommitError),
}

impl Keeper {
    /// Until the group of tasks is told to end.
    pub(super) async fn run(mut self, token: CancellationToken) {
        let engine = Arc::clone(&self.engine);
        tokio::select! {
            () = token.cancelled() => engine.end("the state engine was closed"),
            () = self.serve() => {}
        }
        for request in engine.queue.take(usize::MAX) {
            request.answer(Err(CommitError::Unavailable(engine.why_unavailable())));
        }
    }

    async fn serve(&mut self) {
        let engine = Arc::clone(&self.engine);
        let mut changed: Option<Fired> = None;
        loop {
            self.remove_candidates().await;
            let mut requests = engine.queue.take(GROUP_BYTES);
            if self.head.records() > MOST_RECORDS {
                requests = refuse_growth(requests);
            }
            if !requests.is_empty() {
                self.round(requests).await;
                continue;
            }
            let Some(fired) = &mut changed else {
                match self.refresh().await {
                    Ok(fired) => changed = Some(fired),
                    Err(behind) => {
                        self.pause(&behind).await;
                        if engine.ended.borrow().is_some() {
                            return;
                        }
                    }
                }
                continue;
            };
            tokio::select! {
                _ = fired => changed = None,
                () = engine.queue.filled() => {}
            }
        }
    }

    /// Brings the copy to the newest that our member knows, and says when that changes.
    async fn refresh(&mut self) -> Result<Fired, Behind> {
        let path = self.engine.layout.head();
        let (found, fired) = self.engine.session.get_watched(path.clone()).await?;
        let (bytes, stat) = found.ok_or(Behind::Dropped)?;
        let head = Head::read(bytes).map_err(|why| Behind::Unusable { node: path, why })?;
        follow_to(&self.engine, &head).await?;
        self.engine.head.send_if_modified(|known| {
            let is_new = *known != head;
            known.clone_from(&head);
            is_new
        });
        (self.head, self.version) = (head, stat.version);
        Ok(fired)
    }

    async fn round(&mut self, requests: Vec<Request>) {
        let mut round = Round {
            requests,
            learned: Learned::default(),
            unsure: Vec::new(),
            confirmed: None,
            begun: Instant::now(),
            lost_races: 0,
        };
        loop {
            let next = match self.attempt(&mut round).await {
                Next::Wait => match self.reconnect(&round).await {
                    Ok(()) => self.settle(&mut round).await,
                    Err(error) => Next::Fail(error),
                },
                next => next,
            };
            match next {
                Next::Again | Next::Wait if round.begun.elapsed() < round.patience() => {}
                Next::Again | Next::Wait => {
                    return round.fail(&CommitError::Unavailable(away("others write all the time")));
                }
                Next::Answer(replies) => return round.answer(replies),
                Next::Fail(error) => return round.fail(&error),
            }
        }
    }

    /// Plans, and writes or makes sure.
    async fn attempt(&mut self, round: &mut Round) -> Next {
        // A connection may have been lost in the middle of catching up.
        if self.engine.copy().index != self.head.index {
            return self.settle(round).await;
        }
        let attempt = self.chance.name();
        let mut plan = {
            let copy = self.engine.copy();
            let base = Base { head: &self.head, version: self.version, turn: self.turn };
            Plan::new(&copy, base, &round.requests, &round.learned, &self.engine.layout, attempt)
        };
        if plan.is_idle() {
            return self.confirm(round, plan).await;
        }
        match self.engine.session.multi(std::mem::take(&mut plan.ops)).await {
            Ok(done) => {
                self.take(&plan, &done);
                Next::Answer(plan.replies)
            }
            Err(Failure::Lost(_)) => {
                if plan.has_record() {
                    let Plan { record, head, replies, .. } = plan;
                    round.unsure.push(Unsure { attempt: record.attempt, index: head.index, replies });
                }
                Next::Wait
            }
            Err(Failure::Away(_)) => Next::Wait,
            Err(Failure::Refused { index, code }) => {
                let lesson = plan.learn(index, code, &mut round.learned);
                self.heed(lesson, code, round).await
            }
        }
    }

    async fn heed(&mut self, lesson: Lesson, code: Code, round: &mut Round) -> Next {
        match lesson {
            Lesson::Again => Next::Again,
            Lesson::Hopeless => Next::Fail(refusal(code)),
            Lesson::Yield => {
                match self.engine.session.stat(self.engine.layout.turn()).await {
                    Ok(Some(stat)) => self.turn = stat.version,
                    Ok(None) => return Next::Fail(refusal(Code::NO_NODE)),
                    Err(_) => return Next::Wait,
                }
                tokio::time::sleep(self.chance.jitter(STEP_BACK)).await;
                self.settle(round).await
            }
            Lesson::Behind => {
                round.lost_races += 1;
                if round.lost_races > RACES {
                    let set =
                        Op::SetData { path: self.engine.layout.turn(), data: Bytes::new(), version: -1 };
                    match self.engine.session.multi(vec![set]).await.as_deref() {
                        Ok([MultiDone::Set(stat)]) => self.turn = stat.version,
                        Ok(_) => unreachable!("a change is answered with the node's numbers"),
                        Err(_) => return Next::Wait,
                    }
                }
                self.settle(round).await
            }
        }
    }

    /// Makes sure that the replies of a plan without effect are those of the newest state.
    async fn confirm(&mut self, round: &mut Round, plan: Plan) -> Next {
        if let Some((index, fences)) = &round.confirmed
            && *index <= plan.base
            && plan.fences.iter().all(|fence| fences.contains(fence))
        {
            return Next::Answer(plan.replies);
        }
        let session = self.engine.session.clone();
        // Only a majority can write. What our member answers afterwards is at least as new.
        let set = Op::SetData { path: self.engine.layout.barrier(), data: Bytes::new(), version: -1 };
        match session.multi(vec![set]).await {
            Ok(_) => {}
            Err(Failure::Refused { code, .. }) => return Next::Fail(refusal(code)),
            Err(_) => return Next::Wait,
        }
        for fence in &plan.fences {
            match session.stat(fence.clone()).await {
                Ok(Some(_)) => {}
                Ok(None) => {
                    round.learned.gone.insert(fence.clone());
                    return Next::Again;
                }
                Err(_) => return Next::Wait,
            }
        }
        let next = self.settle(round).await;
        if matches!(next, Next::Again) {
            round.confirmed = Some((self.head.index, plan.fences));
        }
        next
    }

    /// Catches up, and finds out whether a transaction whose answer was lost has happened.
    async fn settle(&mut self, round: &mut Round) -> Next {
        match self.refresh().await {
            Ok(_) => {}
            Err(Behind::Failed(Failure::Away(_) | Failure::Lost(_))) => return Next::Wait,
            Err(Behind::Dropped) => {
                tokio::time::sleep(self.chance.jitter(STEP_BACK)).await;
                return Next::Again;
            }
            Err(behind) => return Next::Fail(CommitError::Unavailable(away(&behind.to_string()))),
        }
        while let Some(unsure) = round.unsure.pop() {
            if unsure.index > self.head.index {
                round.unsure.push(unsure);
                break;
            }
            let path = self.engine.layout.record(unsure.index);
            match self.engine.session.get(path).await {
                Ok(Some((bytes, _))) => {
                    if Record::read(bytes).is_ok_and(|record| record.attempt == unsure.attempt) {
                        return Next::Answer(unsure.replies);
                    }
                }
                Ok(None) => {
                    let reason = "its record was dropped before it could be looked at".into();
                    return Next::Fail(CommitError::OutcomeUnknown { reason });
                }
                Err(_) => {
                    round.unsure.push(unsure);
                    return Next::Wait;
                }
            }
        }
        Next::Again
    }

    /// Our own transaction happened.
    fn take(&mut self, plan: &Plan, done: &[MultiDone]) {
        let Some(MultiDone::Set(stat)) = done.get(Plan::HEAD) else {
            unreachable!("a change of the head is answered with its numbers")
        };
        if plan.has_record() {
            self.engine.apply(&plan.record.changes);
        }
        self.head.clone_from(&plan.head);
        self.version = stat.version;
        self.engine.head.send_replace(plan.head.clone());
    }

    /// Until there is a connection, or the round's patience is over.
    async fn reconnect(&self, round: &Round) -> Result<(), CommitError> {
        let mut link = self.engine.session.link();
        loop {
            let (since, reason) = match &*link.borrow_and_update() {
                Link::Connected { .. } => return Ok(()),
                Link::Away { since, reason } => (*since, Arc::clone(reason)),
                Link::Ended { reason } => return Err(round.gave_up(reason)),
            };
            let until = match round.unsure.is_empty() {
                true => since + PATIENCE,
                false => since.max(round.begun) + UNSURE,
            };
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(round.gave_up(&reason));
            }
            let _ = tokio::time::timeout(left, link.changed()).await;
        }
    }

    /// Between two tries without a request; those that come meanwhile are refused when it takes long.
    async fn pause(&self, behind: &Behind) {
        let engine = &self.engine;
        if !matches!(behind, Behind::Failed(Failure::Away(_) | Failure::Lost(_))) {
            tracing::warn!(%behind, "cannot follow the state in zookeeper");
            tokio::time::sleep(RETRY).await;
            return;
        }
        let mut link = engine.session.link();
        loop {
            let (since, reason) = match &*link.borrow_and_update() {
                Link::Connected { .. } => return,
                Link::Away { since, reason } => (*since, Arc::clone(reason)),
                Link::Ended { reason } => return engine.end(reason),
            };
            let left = (since + PATIENCE).saturating_duration_since(Instant::now());
            if left.is_zero() {
                for request in engine.queue.take(usize::MAX) {
                    request.answer(Err(CommitError::Unavailable(away(&reason))));
                }
                tokio::select! {
                    _ = link.changed() => {}
                    () = engine.queue.filled() => {}
                }
            } else {
                let _ = tokio::time::timeout(left, link.changed()).await;
            }
        }
    }

    /// Deletes the nodes of candidates who went away.
    async fn remove_candidates(&self) {
        for (parent, prefix) in self.engine.queue.take_candidates() {
            let session = &self.engine.session;
            // Without a connection the session's end does it.
            for name in session.children(parent.clone()).await.unwrap_or_default() {
                if name.starts_with(&prefix) {
                    let path = format!("{parent}/{name}");
                    let _ = session.multi(vec![Op::Delete { path, version: -1 }]).await;
                }
            }
        }
    }
}

impl Round {
    fn patience(&self) -> Duration {
        if self.unsure.is_empty() { CONTENTION } else { CONTENTION + UNSURE }
    }

    fn gave_up(&self, reason: &str) -> CommitError {
        match self.unsure.is_empty() {
            true => CommitError::Unavailable(away(reason)),
            false => CommitError::OutcomeUnknown { reason: reason.into() },
        }
    }

    fn answer(self, replies: Vec<Reply>) {
        for (request, reply) in self.requests.into_iter().zip(replies) {
            request.answer(reply);
        }
    }

    fn fail(self, error: &CommitError) {
        let error = match (self.unsure.is_empty(), error) {
            (false, CommitError::Unavailable(why)) => {
                CommitError::OutcomeUnknown { reason: Arc::clone(&why.reason) }
            }
            (_, error) => error.clone(),
        };
        for request in self.requests {
            request.answer(Err(error.clone()));
        }
    }
}

impl Request {
    fn answer(self, reply: Reply) {
        if let Some(waiting) = self.reply {
            // Who went away does not want to know.
            let _ = waiting.send(reply);
        }
    }
}

/// Lets through what makes the state smaller, and what shortens the log.
fn refuse_growth(requests: Vec<Request>) -> Vec<Request> {
    let grows = |request: &Request| matches!(request.action, Action::Commit(_) | Action::Grant { .. });
    let (refused, kept): (Vec<_>, Vec<_>) = requests.into_iter().partition(grows);
    for request in refused {
        request.answer(Err(CommitError::Unavailable(away("its log is not being shortened"))));
    }
    kept
}

fn refusal(code: Code) -> CommitError {
    match code {
        Code::QUOTA_EXCEEDED => CommitError::NoSpace,
        code => CommitError::Unavailable(crate::Unavailable::new(format!("zookeeper refused it: {code}"))),
    }
}
