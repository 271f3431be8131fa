//! From an address to a running engine.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use kogge_host::tasks::{OnPanic, TaskGroup};
use thiserror::Error;

use super::Options;
use super::catch_up::{Behind, load};
use super::chance::Chance;
use super::config::{Config, Host};
use super::dial::TlsError;
use super::engine::Engine;
use super::head::Head;
use super::janitor;
use super::keeper::Keeper;
use super::layout::Layout;
use super::probe;
use super::record::Malformed;
use super::session::{Failure, Link, Session};
use super::wire::{Code, Node, Op};

/// How long opening may take.
const DEADLINE: Duration = Duration::from_secs(10);
/// Between two tries within it.
const RETRY: Duration = Duration::from_millis(100);

/// A store that could not be opened. Never repeats a password.
#[derive(Debug, Error)]
pub enum OpenError {
    /// The TLS files cannot be used.
    #[error("cannot prepare tls for zookeeper")]
    Tls(#[from] TlsError),
    /// No member answered in time.
    #[error("zookeeper at {hosts} is not reachable: {reason}")]
    Unreachable {
        /// All of them.
        hosts: String,
        /// What the last try said.
        reason: String,
    },
    /// The ensemble keeps us out.
    #[error("zookeeper does not let us use {path}: the user or password is wrong, or has no right there")]
    NotAllowed {
        /// What we need.
        path: String,
    },
    /// A member is older than what this engine needs.
    #[error("zookeeper at {host} has version {version}, the oldest that works is 3.6")]
    TooOld {
        /// Which.
        host: String,
        /// As it says.
        version: String,
    },
    /// What is under the path was written by a newer program.
    #[error("the store in zookeeper at {path} is newer than this program: {detail}")]
    Newer {
        /// Where.
        path: String,
        /// What was found.
        detail: String,
    },
    /// What is under the path is no store, or damaged.
    #[error("zookeeper holds something else, or a damaged store, at {path}: {detail}")]
    Damaged {
        /// Where.
        path: String,
        /// What does not fit.
        detail: String,
    },
}

/// Opens the store, making it if it is not there.
pub(super) async fn open(config: &Config, options: Options) -> Result<Arc<Engine>, OpenError> {
    let tasks = TaskGroup::new("zookeeper store");
    let opened = open_with(config, options, &tasks).await;
    if opened.is_err() {
        tasks.token().cancel();
    }
    opened
}

async fn open_with(config: &Config, options: Options, tasks: &TaskGroup) -> Result<Arc<Engine>, OpenError> {
    let (session, dialer) = Session::start(config, tasks)?;
    let (layout, hosts) = (Layout::new(&config.root), config.hosts.clone());
    let engine = Arc::new(Engine::new(session, layout, options, tasks.clone(), dialer, hosts));
    let opening = async {
        connect(&engine, config).await?;
        refuse_old(&engine).await?;
        loop {
            match begin(&engine).await {
                Ok(position) => return Ok(position),
                Err(Behind::Failed(Failure::Refused { code: Code::NO_AUTH, .. })) => {
                    return Err(OpenError::NotAllowed { path: config.root.clone() });
                }
                Err(Behind::Unusable { node: path, why: why @ Malformed::Newer { .. } }) => {
                    return Err(OpenError::Newer { path, detail: why.to_string() });
                }
                Err(behind @ (Behind::Unusable { .. } | Behind::Differs { .. })) => {
                    return Err(OpenError::Damaged { path: config.root.clone(), detail: behind.to_string() });
                }
                Err(Behind::Failed(failure @ Failure::Refused { .. })) => {
                    return Err(unreachable(config, failure.to_string()));
                }
                // A connection lost, a log that was shortened: try again until the deadline.
                Err(Behind::Failed(_) | Behind::Dropped) => tokio::time::sleep(RETRY).await,
            }
        }
    };
    let position = tokio::time::timeout(DEADLINE, opening).await;
    let (head, version, turn) = position.map_err(|_| unreachable(config, reason_of(&engine)))??;
    engine.head.send_replace(head.clone());
    let keeper = Keeper { engine: Arc::clone(&engine), head, version, turn, chance: Chance::draw() };
    tasks.spawn("zookeeper-keeper", OnPanic::StopGroup, keeper.run(tasks.token()));
    tasks.spawn("zookeeper-janitor", OnPanic::StopGroup, janitor::run(Arc::clone(&engine), tasks.token()));
    Ok(engine)
}

async fn connect(engine: &Engine, config: &Config) -> Result<(), OpenError> {
    let mut link = engine.session.link();
    let state = link.wait_for(|link| !matches!(link, Link::Away { .. })).await;
    match state.as_deref() {
        Ok(Link::Connected { .. }) => Ok(()),
        Ok(Link::Ended { .. }) => Err(OpenError::NotAllowed { path: config.root.clone() }),
        _ => Err(unreachable(config, "it was closed".to_owned())),
    }
}

async fn refuse_old(engine: &Engine) -> Result<(), OpenError> {
    let asked = join_all(engine.hosts.iter().map(|host| probe::ask(&engine.dialer, host))).await;
    for (host, member) in engine.hosts.iter().zip(asked) {
        if let Some(member) = member.filter(probe::Member::is_too_old) {
            return Err(OpenError::TooOld { host: host.to_string(), version: member.version });
        }
    }
    Ok(())
}

/// Makes the nodes that are missing, and reads everything. Answers the head, its version and that of the turn.
async fn begin(engine: &Engine) -> Result<(Head, i32, i32), Behind> {
    let (session, layout) = (&engine.session, &engine.layout);
    let found = match session.get(layout.head()).await? {
        Some(found) => found,
        None => {
            for path in layout.foundations() {
                make(session, path, Bytes::new()).await?;
            }
            make(session, layout.head(), Head::EMPTY.write()).await?;
            session.get(layout.head()).await?.ok_or(Behind::Dropped)?
        }
    };
    let head = Head::read(found.0).map_err(|why| Behind::Unusable { node: layout.head(), why })?;
    let turn = session.stat(layout.turn()).await?;
    let turn = turn.ok_or(Behind::Unusable { node: layout.turn(), why: Malformed::Damaged })?;
    let copy = load(engine, &head).await?;
    engine.replace(copy);
    Ok((head, found.1.version, turn.version))
}

async fn make(session: &Session, path: String, data: Bytes) -> Result<(), Failure> {
    if session.stat(path.clone()).await?.is_some() {
        return Ok(());
    }
    match session.multi(vec![Op::Create { path, data, node: Node::Persistent }]).await {
        Err(Failure::Refused { code: Code::NODE_EXISTS, .. }) => Ok(()),
        other => other.map(|_| ()),
    }
}

fn unreachable(config: &Config, reason: String) -> OpenError {
    let hosts: Vec<String> = config.hosts.iter().map(Host::to_string).collect();
    OpenError::Unreachable { hosts: hosts.join(","), reason }
}

fn reason_of(engine: &Engine) -> String {
    match &*engine.session.link().borrow() {
        Link::Away { reason, .. } | Link::Ended { reason } => reason.to_string(),
        Link::Connected { .. } => format!("it did not answer within {DEADLINE:?}"),
    }
}
