//! From calls to whichever member answers: one connection for requests, the next member when it fails, waits with
//! jitter in between, a deadline over all.
//!
//! ```text
//! call ──▶ connection? ──no──▶ dial the members in turn ──all refuse──▶ wait, again … until the deadline
//!            │ yes                                                                      └─▶ away: fail at once
//!            ▼
//!          send ──▶ answer │ refused │ not here: next member │ unclear: a read goes on, a write must say so
//! ```

use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use kogge_host::tasks::{OnPanic, TaskGroup};
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep_until, timeout_at};
use tokio_rustls::TlsConnector;
use tokio_util::task::TaskTracker;
use tonic::Status;

use crate::Unavailable;

use super::config::Config;
use super::history::Growth;
use super::line::Line;
use super::members::{Members, Unreached};
use super::token::Tokens;
use super::tries::Tries;
use super::verdict::{Denial, Verdict, judge};

/// Commits on their way at once. etcd gives up on what waits too long in its own queue, and then nobody knows whether
/// it applied; what waits here surely did not.
const WRITES_AT_ONCE: usize = 64;
/// How long the end waits for leaders to resign.
const FAREWELL: Duration = Duration::from_secs(1);

/// What may be done about an outcome that is unknown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Effort {
    /// Twice is as good as once: ask again, another member if need be.
    Repeat,
    /// The same, and an old answer will do: a member that knows no leader may give it.
    RepeatStale,
    /// Sent at most once.
    Once,
}

/// A call that got no good answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Failure {
    /// No member could. Nothing happened.
    Away(String),
    /// It may have happened.
    Unclear(String),
    /// The answer was no; nothing happened now, though it may have before when an earlier try was unclear.
    Refused { denial: Denial, after_unclear: bool },
}

/// See the module.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) config: Config,
    /// Ends when the engine is closed.
    pub(super) tasks: TaskGroup,
    /// Live a little longer: for what is still to be said.
    connections: TaskGroup,
    farewells: TaskTracker,
    members: Members,
    pub(super) tokens: Tokens,
    /// The last call of all failed for want of a member.
    is_away: AtomicBool,
    writes: Semaphore,
    pub(super) growth: Growth,
}

impl Link {
    pub(super) fn new(config: Config, tls: Option<TlsConnector>) -> Self {
        let connections = TaskGroup::new("connections to etcd");
        Self {
            members: Members::new(config.endpoints.clone(), tls, connections.clone()),
            tokens: Tokens::new(config.user.clone()),
            config,
            tasks: TaskGroup::new("etcd"),
            connections,
            farewells: TaskTracker::new(),
            is_away: AtomicBool::new(false),
            writes: Semaphore::new(WRITES_AT_ONCE),
            growth: Growth::default(),
        }
    }

    /// Says something without waiting for it. Outside a runtime nothing can be said.
    pub(super) fn bid_farewell(&self, what: &'static str, say: impl Future<Output = ()> + Send + 'static) {
        if tokio::runtime::Handle::try_current().is_ok() {
            self.connections.spawn(what, OnPanic::Log, self.farewells.track_future(say));
        }
    }

    /// Ends all that goes on, and the connections when the last farewell is said.
    pub(super) fn close(&self) {
        self.tasks.token().cancel();
        self.farewells.close();
        let (farewells, token) = (self.farewells.clone(), self.connections.token());
        if tokio::runtime::Handle::try_current().is_err() {
            return token.cancel();
        }
        self.connections.spawn("end of the connections to etcd", OnPanic::Log, async move {
            // Whoever does not hear it in time finds out by itself.
            let _ = tokio::time::timeout(FAREWELL, farewells.wait()).await;
            token.cancel();
        });
    }

    /// Resolves when all is said and the connections end.
    pub(super) async fn closed(&self) {
        self.connections.token().cancelled().await;
    }

    /// One call that etcd must agree on with its disks, within the usual deadline.
    pub(super) async fn write<T, F, R>(&self, effort: Effort, send: F) -> Result<T, Failure>
    where
        F: Fn(Line) -> R,
        R: Future<Output = Result<T, Status>>,
    {
        let deadline = Instant::now() + self.config.request_deadline;
        let Ok(_turn) = timeout_at(deadline, self.writes.acquire()).await else {
            return Err(Failure::Away("too many writes wait for etcd".to_owned()));
        };
        self.call_by(deadline, effort, send).await
    }

    /// One call within the usual deadline.
    pub(super) async fn call<T, F, R>(&self, effort: Effort, send: F) -> Result<T, Failure>
    where
        F: Fn(Line) -> R,
        R: Future<Output = Result<T, Status>>,
    {
        self.call_by(Instant::now() + self.config.request_deadline, effort, send).await
    }

    /// One call until `deadline`, with as many tries as `effort` allows.
    pub(super) async fn call_by<T, F, R>(
        &self,
        deadline: Instant,
        effort: Effort,
        send: F,
    ) -> Result<T, Failure>
    where
        F: Fn(Line) -> R,
        R: Future<Output = Result<T, Status>>,
    {
        let mut tries = Tries::new(deadline, self.config.endpoints.len());
        loop {
            let connection = match self.members.connection(deadline, &self.tokens).await {
                Ok(connection) => connection,
                Err(unreached) => {
                    let reason = unreached.reason;
                    tries.wait_or_give_up(self, reason, Some(unreached.retry_at)).await?;
                    continue;
                }
            };
            let line = Line::new(connection.clone(), self.tokens.current(), effort != Effort::RepeatStale);
            let verdict = match timeout_at(tries.attempt_ends(effort), send(line.clone())).await {
                Ok(Ok(answer)) => {
                    // An old answer proves nothing.
                    if effort != Effort::RepeatStale {
                        self.note_away(false);
                    }
                    return Ok(answer);
                }
                Ok(Err(status)) => judge(&status),
                Err(_) => Verdict::Unclear("no answer in time".to_owned()),
            };
            let told = |reason: String| format!("{}: {reason}", connection.endpoint());
            match verdict {
                // Users are asked for since our last call; until now we were whoever our certificate names.
                Verdict::Refused(Denial::Forbidden)
                    if line.token().is_none() && self.config.user.is_some() && tries.may_introduce() =>
                {
                    self.introduce(&line, deadline).await?;
                }
                Verdict::Refused(denial) => {
                    return Err(Failure::Refused { denial, after_unclear: tries.was_unclear });
                }
                Verdict::WhoAreYou if tries.may_introduce() => self.introduce(&line, deadline).await?,
                Verdict::WhoAreYou => {
                    let denial = Denial::Other("etcd does not accept its own token".to_owned());
                    return Err(Failure::Refused { denial, after_unclear: tries.was_unclear });
                }
                Verdict::NotHere(reason) => {
                    self.members.leave(&connection).await;
                    tries.wait_or_give_up(self, told(reason), None).await?;
                }
                Verdict::Unclear(reason) => {
                    self.members.leave(&connection).await;
                    if effort == Effort::Once {
                        return Err(Failure::Unclear(told(reason)));
                    }
                    tries.was_unclear = true;
                    tries.wait_or_give_up(self, told(reason), None).await?;
                }
            }
        }
    }

    /// Why a stream on `line` failed; if etcd did not know us, the next one has another token.
    pub(super) async fn renew_if_unknown(&self, line: &Line, status: &Status) -> String {
        let verdict = judge(status);
        if verdict == Verdict::WhoAreYou
            && let Err(failure) = self.introduce(line, Instant::now() + self.config.request_deadline).await
        {
            return Unavailable::from(failure).reason.to_string();
        }
        format!("{}: {verdict}", line.connection().endpoint())
    }

    /// The first call of all: it tells those apart that will never do.
    pub(super) async fn first_contact(&self) -> Result<Line, Unreached> {
        let deadline = Instant::now() + self.config.request_deadline;
        loop {
            match self.members.connection(deadline, &self.tokens).await {
                Ok(connection) => return Ok(Line::new(connection, None, false)),
                Err(unreached) if unreached.stranger.is_some() || unreached.retry_at >= deadline => {
                    return Err(unreached);
                }
                Err(unreached) => sleep_until(unreached.retry_at).await,
            }
        }
    }

    /// Gets a token with name and password.
    pub(super) async fn introduce(&self, line: &Line, deadline: Instant) -> Result<(), Failure> {
        let asked = timeout_at(deadline, self.tokens.renew(line)).await;
        let verdict = match asked {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(status)) => judge(&status),
            Err(_) => Verdict::Unclear("no answer in time".to_owned()),
        };
        Err(match verdict {
            Verdict::Refused(denial) => Failure::Refused { denial, after_unclear: false },
            Verdict::WhoAreYou => Failure::Refused { denial: Denial::UserMissing, after_unclear: false },
            Verdict::NotHere(reason) | Verdict::Unclear(reason) => Failure::Away(reason),
        })
    }

    /// A connection of one's own, to any of the members: for streams, whose unread bytes would hold up requests.
    pub(super) async fn own_line(&self) -> Result<Line, Unreached> {
        let connection = self.members.any(&self.tokens).await?;
        Ok(Line::new(connection, self.tokens.current(), true))
    }

    /// Whether the last call of all failed for want of a member.
    pub(super) fn is_away(&self) -> bool {
        self.is_away.load(Ordering::Relaxed)
    }

    pub(super) fn note_away(&self, is_away: bool) {
        self.is_away.store(is_away, Ordering::Relaxed);
    }
}
