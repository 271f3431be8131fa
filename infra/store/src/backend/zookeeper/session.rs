//! Our session with the ensemble: what can be asked, and how the connection is.
//!
//! ```text
//!            ┌──────────── connection lost ───────────┐
//!            ▼                                        │
//!   Away ──handshake──▶ Connected (term n) ───────────┘        a session that ended meanwhile is replaced by a new
//!     └──credentials refused, closed──▶ Ended                  one: term n + 1, with none of the old one's nodes
//! ```
//!
//! A request is never sent twice by this layer. While away, requests are refused at once. Watches end with the
//! connection: whoever holds one is woken, and looks again.

mod connect;
mod converse;
mod watches;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use kogge_host::tasks::{OnPanic, TaskGroup};
use tokio::sync::{mpsc, oneshot, watch};

use super::config::Config;
use super::dial::{Dialer, TlsError};
use super::wire::{Answer, Call, Code, MultiDone, Op, Stat};

use connect::Connector;
use watches::{Watcher, Watches};

/// Requests on their way to the connection; who comes when it is full waits.
const QUEUE: usize = 1024;
/// Paths told by a recursive watch and not yet looked at; when there are more the watch ends.
const TREE_QUEUE: usize = 4096;

/// How the connection is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Link {
    /// Not now; the reason is that of the last attempt.
    Away { since: Instant, reason: Arc<str> },
    /// In the session with this number; nodes of earlier ones are gone or about to go.
    Connected { term: u64 },
    /// Never again.
    Ended { reason: Arc<str> },
}

/// A request without success.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Failure {
    /// It was not sent.
    Away(Arc<str>),
    /// The answer never came: it may or may not have happened.
    Lost(Arc<str>),
    /// The ensemble said no, and nothing happened. `index` is the guilty operation of a transaction.
    Refused { index: usize, code: Code },
}

/// Resolves, however, when it is time to look again.
pub(super) type Fired = oneshot::Receiver<()>;

/// A handle on the session; clones share it.
#[derive(Debug, Clone)]
pub(super) struct Session {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    requests: mpsc::Sender<Request>,
    link: watch::Sender<Link>,
    current: Mutex<Current>,
    watches: Mutex<Watches>,
}

/// The session that is, or was last, connected.
#[derive(Debug, Clone, Copy)]
struct Current {
    term: u64,
    /// How long it lives without a word from us, as the ensemble has decided.
    timeout: Duration,
}

#[derive(Debug)]
struct Request {
    call: Call,
    watcher: Option<Watcher>,
    answer: oneshot::Sender<Result<Answer, Failure>>,
}

impl Session {
    /// Begins one; the task that keeps it belongs to `tasks` and closes it when they are told to end.
    pub(super) fn start(config: &Config, tasks: &TaskGroup) -> Result<(Self, Dialer), TlsError> {
        let dialer = Dialer::new(config.tls.as_ref())?;
        let (requests, receiver) = mpsc::channel(QUEUE);
        let now = Instant::now();
        let link = watch::Sender::new(Link::Away { since: now, reason: "no member answered yet".into() });
        let current = Mutex::new(Current { timeout: Duration::ZERO, term: 0 });
        let shared = Arc::new(Shared { requests, link, current, watches: Mutex::default() });
        let connector = Connector::new(config, dialer.clone(), Arc::clone(&shared), tasks.token());
        tasks.spawn("zookeeper-session", OnPanic::StopGroup, connector.run(receiver));
        Ok((Self { shared }, dialer))
    }

    /// Sees every change of the connection.
    pub(super) fn link(&self) -> watch::Receiver<Link> {
        self.shared.link.subscribe()
    }

    /// How long our session of this term lives without a word from us; none when that term is over.
    pub(super) fn timeout(&self, term: u64) -> Option<Duration> {
        let current = *self.shared.current();
        let ended = matches!(&*self.shared.link.borrow(), Link::Ended { .. });
        (current.term == term && !ended).then_some(current.timeout)
    }

    /// All operations or none.
    pub(super) async fn multi(&self, ops: Vec<Op>) -> Result<Vec<MultiDone>, Failure> {
        match self.ask(Call::Multi(ops), None).await? {
            Answer::Multi(done) => Ok(done),
            Answer::Refused { index, code } => Err(Failure::Refused { index, code }),
            _ => unreachable!("a transaction is answered with its results"),
        }
    }

    /// The data of a node, if it exists.
    pub(super) async fn get(&self, path: String) -> Result<Option<(Bytes, Stat)>, Failure> {
        as_data(self.ask(Call::Get { path, watch: false }, None).await)
    }

    /// The data of a node, and what tells that it changed. Nothing does if the node does not exist.
    pub(super) async fn get_watched(&self, path: String) -> Result<(Option<(Bytes, Stat)>, Fired), Failure> {
        let (watcher, fired) = Watcher::once(&path);
        let data = as_data(self.ask(Call::Get { path, watch: true }, Some(watcher)).await)?;
        Ok((data, fired))
    }

    /// Whether a node exists, and what tells that this changed.
    pub(super) async fn exists_watched(&self, path: String) -> Result<(bool, Fired), Failure> {
        let (watcher, fired) = Watcher::once(&path);
        let found = as_stat(self.ask(Call::Exists { path, watch: true }, Some(watcher)).await)?;
        Ok((found.is_some(), fired))
    }

    /// The numbers of a node, if it exists.
    pub(super) async fn stat(&self, path: String) -> Result<Option<Stat>, Failure> {
        as_stat(self.ask(Call::Exists { path, watch: false }, None).await)
    }

    /// The names of a node's children, in no order; none if there is no such node.
    pub(super) async fn children(&self, path: String) -> Result<Vec<String>, Failure> {
        match self.ask(Call::Children { path }, None).await {
            Ok(Answer::Children(names)) => Ok(names),
            Err(Failure::Refused { code: Code::NO_NODE, .. }) => Ok(Vec::new()),
            Ok(_) => unreachable!("children are answered with names"),
            Err(failure) => Err(failure),
        }
    }

    /// The path of every change at and under `path`, until the connection ends or more than [`TREE_QUEUE`] wait.
    pub(super) async fn watch_tree(&self, path: String) -> Result<mpsc::Receiver<String>, Failure> {
        let (changes, receiver) = mpsc::channel(TREE_QUEUE);
        let watcher = Watcher::Tree { path: path.clone(), changes };
        self.ask(Call::Watch { path }, Some(watcher)).await.map(|_| receiver)
    }

    async fn ask(&self, call: Call, watcher: Option<Watcher>) -> Result<Answer, Failure> {
        if let Some(reason) = self.why_away() {
            return Err(Failure::Away(reason));
        }
        let (answer, answered) = oneshot::channel();
        let request = Request { call, watcher, answer };
        if self.shared.requests.send(request).await.is_err() {
            return Err(Failure::Away(self.why_away().unwrap_or_else(|| "it is closed".into())));
        }
        // Only a task that was aborted takes requests and answers none.
        answered.await.unwrap_or_else(|_| Err(Failure::Lost("it is closed".into())))
    }

    fn why_away(&self) -> Option<Arc<str>> {
        match &*self.shared.link.borrow() {
            Link::Connected { .. } => None,
            Link::Away { reason, .. } | Link::Ended { reason } => Some(Arc::clone(reason)),
        }
    }
}

impl Shared {
    fn current(&self) -> MutexGuard<'_, Current> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn watches(&self) -> MutexGuard<'_, Watches> {
        self.watches.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn as_data(answer: Result<Answer, Failure>) -> Result<Option<(Bytes, Stat)>, Failure> {
    match answer {
        Ok(Answer::Data(data, stat)) => Ok(Some((data, stat))),
        Err(Failure::Refused { code: Code::NO_NODE, .. }) => Ok(None),
        Ok(_) => unreachable!("data is answered with data"),
        Err(failure) => Err(failure),
    }
}

fn as_stat(answer: Result<Answer, Failure>) -> Result<Option<Stat>, Failure> {
    match answer {
        Ok(Answer::Stat(stat)) => Ok(Some(stat)),
        Err(Failure::Refused { code: Code::NO_NODE, .. }) => Ok(None),
        Ok(_) => unreachable!("a look is answered with numbers"),
        Err(failure) => Err(failure),
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Away(reason) => write!(f, "zookeeper is away: {reason}"),
            Self::Lost(reason) => write!(f, "the connection to zookeeper was lost: {reason}"),
            Self::Refused { index, code } => write!(f, "zookeeper refused operation {index}: {code}"),
        }
    }
}
