//! The agents' side: one session with whichever server leads, for ever.
//!
//! ```text
//!  reports ─▶ ┌─────────┐   Session      ┌────────┐
//!  orders  ◀─ │ dialer  │ ◀────────────▶ │ leader │     lost, redirected, refused: the next try comes by itself,
//!             └─────────┘   Renew        └────────┘     after a pause that spreads many agents
//!   TaskDoor ◀── answer ─── Reach ───────────┘
//! ```

mod answer;
mod bypass;
mod config;
mod connection;
mod fetch;
mod follow;
mod join;
mod renew;
mod route;
mod session;
mod shared;
mod spares;
mod state;
mod watched;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use arc_swap::{ArcSwap, ArcSwapOption};
use bytes::Bytes;
use kogge_host::tasks::{OnPanic, TaskGroup};
use kogge_model::link::{FromAgent, FromControl};
use kogge_model::reason::Reason;
use thiserror::Error;
use tokio::sync::{Semaphore, mpsc, watch};

use crate::address::ServerAddress;
use crate::bounds::MAX_CALLS;
use crate::identity::Identity;
use crate::timing::jitter;

pub use config::{DialerConfig, DialerPorts, Keeper};
pub use connection::DialError;
pub(crate) use connection::{Client, connect, flow};
pub use fetch::RemoteBlob;
pub(crate) use fetch::open as open_blob;
pub use join::{JoinError, JoinWish, Joined, join};
pub use state::LinkState;

use route::{Pause, Route, Verdict};
use session::Outcome;
use shared::Shared;
use spares::Spares;

/// How often the pause doubles that agents take while servers have no time for all of them: at most 16 s.
const MOST_DOUBLINGS: u32 = 3;

/// Why a dialer did not start.
#[derive(Debug, Error)]
pub enum DialerError {
    /// Nothing to dial.
    #[error("the agent knows no server")]
    NoServer,
    /// Its identity is not that of an agent.
    #[error("the certificate of {peer} is not that of an agent")]
    NoAgent {
        /// Whose.
        peer: String,
    },
    /// No number for this process.
    #[error("cannot draw a number for this process")]
    Instance(#[source] std::io::Error),
}

/// A link as an agent sees it: two bounded channels.
pub struct Dialed {
    /// What the agent says. Dropped while no server listens: everything that matters comes again until answered.
    pub to_control: mpsc::Sender<FromAgent>,
    /// What the agent is told.
    pub from_control: mpsc::Receiver<FromControl>,
    /// The newest bulletin of the servers; empty until the first has come.
    pub bulletin: watch::Receiver<Bytes>,
    /// The link itself.
    pub handle: DialerHandle,
}

/// The dialer's ends of the agent's channels. The agent's own end with these, when the link is gone for good.
struct AgentEnd {
    reports: mpsc::Receiver<FromAgent>,
    orders: mpsc::Sender<FromControl>,
    bulletins: watch::Sender<Bytes>,
}

/// A running dialer. Clones are the same one; it ends with its group, or when the agent drops its channels.
#[derive(Clone)]
pub struct DialerHandle {
    shared: Arc<Shared>,
}

/// Starts to look for a leader; everything is in `group`.
///
/// # Errors
/// When no server is known, or the identity is not that of an agent.
pub fn dial(config: DialerConfig, ports: DialerPorts, group: &TaskGroup) -> Result<Dialed, DialerError> {
    let peer = config.identity.certificate().peer();
    let agent = peer.agent().ok_or_else(|| DialerError::NoAgent { peer: peer.to_string() })?;
    let chance = kogge_host::seed::draw().map_err(DialerError::Instance)?;
    if config.servers.is_empty() {
        return Err(DialerError::NoServer);
    }
    let route = Route::new(config.servers.clone(), usize::from(chance[31]));
    let (to_control, reports) = mpsc::channel(config.capacity);
    let (orders, from_control) = mpsc::channel(config.capacity);
    let (state, _) = watch::channel(LinkState::Connecting { server: route.current().clone() });
    let shared = Arc::new(Shared {
        agent,
        instance: chance[..16].to_vec().into(),
        identity: ArcSwap::from_pointee(config.identity.clone()),
        renewed: Mutex::new(None),
        servers: ArcSwap::from_pointee(config.servers.clone()),
        at: ArcSwapOption::empty(),
        state,
        sessions: watch::Sender::new(0),
        calls: Arc::new(Semaphore::new(MAX_CALLS)),
        spares: Spares::default(),
        group: group.child("link to the servers"),
        config,
        ports,
    });
    let (bulletins, bulletin) = watch::channel(Bytes::new());
    let agent = AgentEnd { reports, orders, bulletins };
    let running = run(Arc::clone(&shared), route, agent);
    shared.group.spawn("link to the servers", OnPanic::StopGroup, running);
    Ok(Dialed { to_control, from_control, bulletin, handle: DialerHandle { shared } })
}

impl DialerHandle {
    /// How the link is, now and from now on.
    #[must_use]
    pub fn state(&self) -> watch::Receiver<LinkState> {
        self.shared.state.subscribe()
    }

    /// Who the agent is; changes with each renewal.
    #[must_use]
    pub fn identity(&self) -> Arc<Identity> {
        self.shared.identity.load_full()
    }

    /// Where the servers are, as far as is known.
    #[must_use]
    pub fn servers(&self) -> Arc<Vec<ServerAddress>> {
        self.shared.servers.load_full()
    }

    /// Counts the sessions that have begun. With each, the agent presents itself without being asked.
    #[must_use]
    pub fn sessions(&self) -> watch::Receiver<u64> {
        self.shared.sessions.subscribe()
    }

    /// How many connections to servers that do not lead stand ready, now and from now on.
    #[must_use]
    pub fn spares(&self) -> watch::Receiver<usize> {
        self.shared.spares.count()
    }

    /// Ends the link. Returns what did not end in time and was cut off.
    pub async fn shutdown(&self, patience: Duration) -> Vec<String> {
        self.shared.group.shutdown(patience).await
    }
}

/// Tries, attends, pauses, until the agent or its group has ended.
async fn run(shared: Arc<Shared>, mut route: Route, mut agent: AgentEnd) {
    let mut pause = Duration::ZERO;
    loop {
        let Some(opened) = look(&shared, route.current(), pause, &mut agent.reports).await else { break };
        let outcome = match opened {
            Ok(session) => session.attend(&mut agent).await,
            Err(outcome) => outcome,
        };
        if matches!(outcome, Outcome::Renewed | Outcome::Refused(_)) {
            shared.spares.clear();
        }
        route.learn(&shared.servers.load());
        let Some(verdict) = judge(&shared, outcome) else { break };
        pause = length(route.after(verdict), &shared);
    }
    shared.spares.clear();
    shared.state.send_replace(LinkState::Closed);
    shared.group.token().cancel();
}

/// Pauses and tries one server. What the agent says meanwhile goes nowhere, and comes again. None when it has ended.
async fn look(
    shared: &Arc<Shared>,
    server: &ServerAddress,
    pause: Duration,
    reports: &mut mpsc::Receiver<FromAgent>,
) -> Option<Result<session::Session, Outcome>> {
    let trying = async {
        tokio::time::sleep(pause).await;
        shared.state.send_replace(LinkState::Connecting { server: server.clone() });
        session::open(shared, server).await
    };
    let ended = async { while reports.recv().await.is_some() {} };
    tokio::select! {
        () = shared.group.cancelled() => None,
        () = ended => None,
        opened = trying => Some(opened),
    }
}

/// Tells people how a try or a session ended, and the route. None when the agent has ended.
fn judge(shared: &Shared, outcome: Outcome) -> Option<Verdict> {
    let (why, refused, verdict) = match outcome {
        Outcome::Closed => return None,
        Outcome::Renewed => return Some(Verdict::Renewed),
        Outcome::Bypassed => {
            tracing::info!(agent = %shared.agent, "the link stood still: a new connection got through");
            return Some(Verdict::Renewed);
        }
        Outcome::Unreachable(why) => (why, None, Verdict::Unreachable),
        Outcome::Busy(why) => (why, None, Verdict::Busy),
        Outcome::NotLeader(leader) => {
            let why = match &leader {
                Some(leader) => format!("server {leader} leads"),
                None => "no server leads".to_owned(),
            };
            (Reason::new(why), None, Verdict::Redirected(leader))
        }
        Outcome::Lost { why, leader } => (why, None, Verdict::Lost(leader)),
        Outcome::Faltered(why) => (why, None, Verdict::Faltered),
        Outcome::Refused(refusal) => (refusal.reason, Some(refusal.kind), Verdict::Refused),
    };
    let is_news = !matches!(&*shared.state.borrow(), LinkState::Waiting { why: last, .. } if *last == why);
    if is_news {
        tracing::warn!(agent = %shared.agent, reason = %why, "not connected");
    }
    shared.state.send_replace(LinkState::Waiting { why, refused });
    Some(verdict)
}

fn length(pause: Pause, shared: &Shared) -> Duration {
    let timing = &shared.config.timing;
    match pause {
        Pause::None => Duration::ZERO,
        Pause::Reconnect => jitter(timing.reconnect / 4, timing.reconnect),
        Pause::Crowd(times) => {
            let longest = timing.reconnect * 2u32.pow((times - 1).min(MOST_DOUBLINGS));
            jitter(longest / 2, longest)
        }
        Pause::Refused => jitter(timing.refused / 2, timing.refused),
    }
}
