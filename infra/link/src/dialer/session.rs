//! One session with one server, from its greeting to its end.

use std::sync::Arc;
use std::time::{Duration, Instant};

use kogge_host::clock;
use kogge_host::tasks::OnPanic;
use kogge_model::link::{FromAgent, FromControl};
use kogge_model::reason::Reason;
use kogge_model::time::Timestamp;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tonic::{Status, Streaming};

use super::connection::{Reached, flow};
use super::renew;
use super::shared::Shared;
use super::spares;
use super::state::LinkState;
use super::{AgentEnd, answer, bypass, follow};
use crate::address::ServerAddress;
use crate::bounds::{MAX_FRAMES, MAX_MESSAGE_BYTES, MAX_WIDE_BYTES};
use crate::codec::Codec;
use crate::refusal::Refusal;
use crate::wire::{AgentFrame, Call, ControlFrame, Hello, NotLeader, Welcome, agent_frame, control_frame};

/// Clocks further apart than this are worth a warning.
const CLOCK_TOLERANCE: Duration = Duration::from_secs(60);

/// A session that breaks sooner did not stand: the server, or this machine, is overloaded.
const STEADY: Duration = Duration::from_secs(10);

/// How a try or a session ended.
#[derive(Debug)]
pub(super) enum Outcome {
    Unreachable(Reason),
    /// It took the connection, and had no time for it.
    Busy(Reason),
    NotLeader(Option<ServerAddress>),
    Refused(Refusal),
    Lost {
        why: Reason,
        leader: Option<ServerAddress>,
    },
    /// It was lost soon after it began.
    Faltered(Reason),
    Renewed,
    /// Its connection stood still, and a new one got through.
    Bypassed,
    /// The agent has ended.
    Closed,
}

/// A session that stands.
pub(super) struct Session {
    shared: Arc<Shared>,
    server: ServerAddress,
    reached: Reached,
    codec: Codec,
    out: mpsc::Sender<AgentFrame>,
    inbound: Streaming<ControlFrame>,
    since: Instant,
}

/// Tries `server`, on a connection that stands ready if there is one.
pub(super) async fn open(shared: &Arc<Shared>, server: &ServerAddress) -> Result<Session, Outcome> {
    let timing = &shared.config.timing;
    if let Some(spare) = shared.spares.take(server) {
        let carrier = spare.clone();
        let answered = tokio::select! {
            answered = greet(shared, server, spare, timing.handshake) => answered,
            () = carrier.stands_still() => Err(Outcome::Unreachable(Reason::new("the link stands still"))),
        };
        match answered {
            // It broke without a sign: a new one shows whether the server is there.
            Err(Outcome::Unreachable(why)) => tracing::debug!(reason = %why, "a spare connection was none"),
            answered => return answered,
        }
    }
    let reached = shared.connect(server).await.map_err(|error| match error.is_busy() {
        true => Outcome::Busy(error.reason()),
        false => Outcome::Unreachable(error.reason()),
    })?;
    greet(shared, server, reached, timing.answer).await
}

/// Begins a session, with somebody who answers within `patience`.
async fn greet(
    shared: &Arc<Shared>,
    server: &ServerAddress,
    reached: Reached,
    patience: Duration,
) -> Result<Session, Outcome> {
    let unreachable = |text: String| Outcome::Unreachable(Reason::new(format!("server {server}: {text}")));
    if renew::is_due(shared) {
        match renew::renew(shared, reached.client.clone()).await {
            // The connection still is that of the old certificate.
            Ok(()) => return Err(Outcome::Renewed),
            Err(refusal) if renew::has_expired(shared) => return Err(Outcome::Refused(refusal)),
            Err(refusal) => {
                tracing::warn!(%refusal, "the agent's certificate was not renewed, it is tried again")
            }
        }
    }
    let (out, frames) = mpsc::channel(MAX_FRAMES);
    let hello = AgentFrame { frame: Some(agent_frame::Frame::Hello(hello(shared))) };
    out.try_send(hello).expect("a new channel has room");
    let silent = |_| Outcome::Busy(Reason::new(format!("server {server}: it does not answer")));
    let mut opening = reached.client.clone();
    let answer = timeout(patience, opening.session(flow(frames))).await.map_err(silent)?;
    let mut inbound = answer.map_err(|status| unreachable(status.message().to_owned()))?.into_inner();
    let first = timeout(patience, inbound.message()).await.map_err(silent)?;
    let first = first.map_err(|status| unreachable(status.message().to_owned()))?;
    let welcome = match first.and_then(|first| first.frame) {
        Some(control_frame::Frame::Welcome(welcome)) => welcome,
        Some(control_frame::Frame::NotLeader(NotLeader { leader })) => {
            shared.spares.keep(server, reached);
            return Err(Outcome::NotLeader(leader.parse().ok()));
        }
        Some(control_frame::Frame::Refusal(refusal)) => return Err(Outcome::Refused(refusal.into())),
        _ => return Err(unreachable("its answer cannot be read".to_owned())),
    };
    let codec = Codec { version: welcome.version, max_bytes: MAX_MESSAGE_BYTES };
    let (shared, server) = (Arc::clone(shared), server.clone());
    let session = Session { shared, server, reached, codec, out, inbound, since: Instant::now() };
    session.welcomed(welcome).await;
    Ok(session)
}

fn hello(shared: &Shared) -> Hello {
    Hello {
        oldest_version: shared.config.versions.oldest,
        newest_version: shared.config.versions.newest,
        instance: shared.instance.clone(),
        program: shared.config.program.clone(),
        now_us: clock::now().as_micros(),
        introduces: true,
    }
}

impl Session {
    async fn welcomed(&self, welcome: Welcome) {
        let warning = clock_warning(clock::now(), Timestamp::from_micros(welcome.now_us));
        if let Some(reason) = &warning {
            tracing::warn!(%reason, "clocks");
        }
        self.shared.learn_servers(&welcome.servers.unwrap_or_default().addresses).await;
        tracing::info!(server = %self.server, version = welcome.version, "connected");
        self.shared.at.store(Some(Arc::new(self.reached.at.clone())));
        self.shared.state.send_replace(LinkState::Connected {
            server: self.server.clone(),
            program: welcome.program,
            version: welcome.version,
            warning,
        });
        self.shared.sessions.send_modify(|count| *count += 1);
    }

    /// Reports out, orders in, until something ends it.
    pub(super) async fn attend(mut self, agent: &mut AgentEnd) -> Outcome {
        let (shared, server, out) = (Arc::clone(&self.shared), self.server.clone(), self.out.clone());
        let (codec, AgentEnd { reports, orders, bulletins }) = (self.codec, agent);
        let reached = self.reached.clone();
        let outcome = tokio::select! {
            () = shared.group.cancelled() => Outcome::Closed,
            outcome = self.hear(orders) => outcome,
            outcome = tell(codec, reports, &out) => outcome,
            () = renew::keep_fresh(&shared, &reached.client) => Outcome::Renewed,
            around = bypass::find(&shared, &server, &reached) => {
                shared.spares.keep(&server, around);
                Outcome::Bypassed
            }
            never = follow::run(&shared, &reached.client, bulletins) => match never {},
            never = spares::keep(&shared, &server, &reached.at) => match never {},
        };
        if matches!(outcome, Outcome::Lost { leader: Some(_), .. }) {
            shared.spares.keep(&server, reached);
        }
        outcome
    }

    async fn hear(&mut self, orders: &mpsc::Sender<FromControl>) -> Outcome {
        loop {
            let frame = match self.inbound.message().await {
                Ok(Some(frame)) => frame.frame,
                Ok(None) => return self.lost("the server closed the connection"),
                Err(status) => return self.lost(&broken(&status)),
            };
            match frame {
                Some(control_frame::Frame::Order(order)) => {
                    if self.obey(&order, orders).is_err() {
                        return Outcome::Closed;
                    }
                }
                // When there is no room, reports are on their way that answer as well.
                Some(control_frame::Frame::Ping(at)) => {
                    let _ = self.out.try_send(AgentFrame { frame: Some(agent_frame::Frame::Pong(at)) });
                }
                Some(control_frame::Frame::Servers(servers)) => {
                    self.shared.learn_servers(&servers.addresses).await;
                }
                Some(control_frame::Frame::Call(call)) => self.answer(call),
                Some(control_frame::Frame::NotLeader(NotLeader { leader })) => {
                    let why = Reason::new(format!("server {} does not lead any more", self.server));
                    return Outcome::Lost { why, leader: leader.parse().ok() };
                }
                Some(control_frame::Frame::Refusal(refusal)) => return Outcome::Refused(refusal.into()),
                // When there is no room, reports are on their way, and it comes again.
                Some(control_frame::Frame::Wide(mut wide)) => {
                    wide.truncate(MAX_WIDE_BYTES);
                    let _ = self.out.try_send(AgentFrame { frame: Some(agent_frame::Frame::Wide(wide)) });
                }
                // Newer servers may say more.
                Some(control_frame::Frame::Welcome(_)) | None => {}
            }
        }
    }

    /// Hands an order on; an error means that the agent has ended.
    fn obey(&self, order: &[u8], orders: &mpsc::Sender<FromControl>) -> Result<(), ()> {
        let order: FromControl = match self.codec.decode(order) {
            Ok(order) => order,
            Err(error) => {
                tracing::warn!(%error, "an order is skipped");
                return Ok(());
            }
        };
        match orders.try_send(order) {
            Err(mpsc::error::TrySendError::Closed(_)) => Err(()),
            Err(mpsc::error::TrySendError::Full(_)) => {
                tracing::debug!("an order finds no room, and comes again");
                Ok(())
            }
            Ok(()) => Ok(()),
        }
    }

    fn answer(&self, call: Call) {
        let Ok(place) = Arc::clone(&self.shared.calls).try_acquire_owned() else {
            return tracing::warn!("too many open logs and programs, a call is not answered");
        };
        let (shared, at) = (Arc::clone(&self.shared), self.reached.at.clone());
        self.shared.group.spawn("call into a task", OnPanic::Log, async move {
            let _place = place;
            tokio::select! {
                () = shared.group.cancelled() => {}
                () = answer::answer(&shared, &at, call) => {}
            }
        });
    }

    fn lost(&self, why: &str) -> Outcome {
        let why = Reason::new(format!("lost server {}: {why}", self.server));
        if self.since.elapsed() < STEADY {
            return Outcome::Faltered(why);
        }
        Outcome::Lost { why, leader: None }
    }
}

async fn tell(
    codec: Codec,
    reports: &mut mpsc::Receiver<FromAgent>,
    out: &mpsc::Sender<AgentFrame>,
) -> Outcome {
    while let Some(report) = reports.recv().await {
        let report = match codec.encode(&report) {
            Ok(report) => report,
            Err(error) => {
                tracing::error!(%error, "a report cannot be sent");
                continue;
            }
        };
        if out.send(AgentFrame { frame: Some(agent_frame::Frame::Report(report)) }).await.is_err() {
            // The server does not listen any more; what it says last is still to be heard.
            return std::future::pending().await;
        }
    }
    Outcome::Closed
}

fn broken(status: &Status) -> String {
    match std::error::Error::source(status) {
        Some(cause) => format!("{}: {cause}", status.message()),
        None => status.message().to_owned(),
    }
}

fn clock_warning(ours: Timestamp, theirs: Timestamp) -> Option<Reason> {
    let apart = ours.saturating_since(theirs).max(theirs.saturating_since(ours));
    (apart > CLOCK_TOLERANCE).then(|| {
        let text = format!(
            "the clocks are {} s apart: this machine's says {ours}, the server's {theirs}",
            apart.as_secs()
        );
        Reason::new(text).with_hint("set the clocks, for example with `timedatectl set-ntp true`")
    })
}
