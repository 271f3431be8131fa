//! One agent's session, from its greeting to its farewell.

use std::sync::Arc;
use std::time::Duration;

use kogge_host::clock;
use kogge_model::time::Timestamp;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};
use tonic::Streaming;

use super::caller::{Caller, CertifiedAgent};
use super::ports::{Impostor, Leader};
use super::sessions::{Claimant, Say, Seat};
use super::shared::Shared;
use super::wide::Wide;
use crate::codec::Codec;
use crate::identity::Untrusted;
use crate::refusal::{Refusal, RefusalKind};
use crate::version::Versions;
use crate::wire::{AgentFrame, ControlFrame, Hello, NotLeader, Servers, Welcome, agent_frame, control_frame};

/// How long a farewell may take to be taken.
const FAREWELL_PATIENCE: Duration = Duration::from_secs(1);

/// Bytes of a process's number.
const INSTANCE_BYTES: std::ops::RangeInclusive<usize> = 8..=64;

type Out = mpsc::Sender<Box<ControlFrame>>;

/// Why a session ends.
#[derive(Debug)]
pub(super) enum Farewell {
    /// The agent has gone, or nobody is to be told.
    Silent,
    NotLeader(Leader),
    Refused(Refusal),
}

/// A session that stands.
pub(super) struct Session {
    pub(super) shared: Arc<Shared>,
    out: Out,
    pub(super) codec: Codec,
    certificate_ends: Timestamp,
    segment_bytes: usize,
    /// The agent presents itself without being asked.
    pub(super) introduces: bool,
}

/// Lives as long as the agent's connection.
pub(super) async fn run(shared: Arc<Shared>, caller: Caller, mut inbound: Streaming<AgentFrame>, out: Out) {
    let farewell = match greet(&shared, &caller, &mut inbound, &out).await {
        Ok((session, mut seat)) => {
            shared.ports.presence.opened(&seat.agent, caller.from);
            let farewell = session.attend(&mut seat, &mut inbound).await;
            tracing::debug!(agent = %seat.agent, ?farewell, "a session has ended");
            if seat.leave() {
                shared.ports.presence.closed(&seat.agent);
            }
            farewell
        }
        Err(farewell) => {
            tracing::debug!(from = %caller.from, ?farewell, "no session");
            farewell
        }
    };
    if let Some(frame) = farewell.frame() {
        let _ = tokio::time::timeout(FAREWELL_PATIENCE, out.send(say(frame))).await;
    }
}

/// Finds out who is there and whether they are in the right place.
async fn greet(
    shared: &Arc<Shared>,
    caller: &Caller,
    inbound: &mut Streaming<AgentFrame>,
    out: &Out,
) -> Result<(Session, Seat), Farewell> {
    let agent = caller.agent(shared.ports.signer.authority())?;
    let hello = hear_hello(shared, inbound).await?;
    let version = agree(shared.config.versions, &hello)?;
    let leader = find_leader(shared).await;
    let admitted = shared.ports.gate.admit(&agent.agent, agent.certificate.key_fingerprint());
    if leader != Leader::Here {
        if matches!(leader, Leader::Elsewhere(_)) && admitted.is_ok() {
            shared.ports.presence.sent_on(&agent.agent);
        }
        return Err(Farewell::NotLeader(leader));
    }
    admitted.map_err(|reason| Refusal { kind: RefusalKind::Membership, reason })?;
    let seat = take_seat(shared, caller, &agent, &hello).await?;
    let servers = Servers { addresses: addresses(shared) };
    let welcome = Welcome {
        version,
        program: shared.config.program.clone(),
        now_us: clock::now().as_micros(),
        servers: Some(servers),
    };
    out.send(say(control_frame::Frame::Welcome(welcome))).await.map_err(|_| Farewell::Silent)?;
    let session = Session {
        out: out.clone(),
        codec: Codec { version, max_bytes: shared.config.max_message_bytes },
        certificate_ends: agent.certificate.not_after(),
        segment_bytes: caller.segment_bytes,
        introduces: hello.introduces,
        shared: Arc::clone(shared),
    };
    Ok((session, seat))
}

/// Who leads. While nobody does, somebody will in a moment, and an agent that was sent away would have to come again;
/// whoever is about to lead itself keeps it longer.
async fn find_leader(shared: &Shared) -> Leader {
    let (begun, timing) = (Instant::now(), &shared.config.timing);
    let mut leader = shared.ports.leader.clone();
    loop {
        let known = leader.borrow_and_update().clone();
        let patience = match known {
            Leader::Unknown => timing.unled,
            Leader::Soon => timing.elected,
            Leader::Here | Leader::Elsewhere(_) => return known,
        };
        if !matches!(timeout_at(begun + patience, leader.changed()).await, Ok(Ok(()))) {
            return Leader::Unknown;
        }
    }
}

async fn hear_hello(shared: &Shared, inbound: &mut Streaming<AgentFrame>) -> Result<Hello, Farewell> {
    let first = tokio::time::timeout(shared.config.timing.answer, inbound.message()).await;
    let frame = first.ok().and_then(Result::ok).flatten().and_then(|first| first.frame);
    match frame {
        Some(agent_frame::Frame::Hello(hello)) if INSTANCE_BYTES.contains(&hello.instance.len()) => Ok(hello),
        _ => Err(Refusal::new(RefusalKind::Malformed, "a session begins with a greeting").into()),
    }
}

fn agree(ours: Versions, hello: &Hello) -> Result<u32, Refusal> {
    let theirs = Versions { oldest: hello.oldest_version, newest: hello.newest_version };
    ours.common(theirs).ok_or_else(|| {
        let text = format!(
            "the server speaks versions {ours} of the protocol, the agent (kogge {}) {theirs}: none in common",
            hello.program
        );
        let older = if theirs.newest < ours.oldest { "agent" } else { "server" };
        Refusal::new(RefusalKind::Version, text)
            .with_hint(&format!("upgrade the {older}; neighbouring versions work together"))
    })
}

async fn take_seat(
    shared: &Arc<Shared>,
    caller: &Caller,
    agent: &CertifiedAgent,
    hello: &Hello,
) -> Result<Seat, Refusal> {
    let (instance, from) = (hello.instance.clone(), caller.from);
    let claimant = Claimant { agent: agent.agent.clone(), instance, from };
    shared.sessions.enter(&claimant, shared.config.timing.challenge).await.map_err(|connected| {
        let impostor = Impostor { agent: agent.agent.clone(), connected, refused: from };
        tracing::warn!(agent = %agent.agent, %connected, refused = %from, "an agent's identity is used twice");
        shared.ports.presence.cloned(&impostor);
        let text = format!(
            "agent {} is connected already, from {connected}: its identity was copied to a second machine or process",
            agent.agent
        );
        Refusal::new(RefusalKind::Cloned, text)
            .with_hint("stop one of the two, or give this one an empty data directory and join it anew")
    })
}

impl Session {
    /// Orders out, reports in, until something ends it.
    async fn attend(&self, seat: &mut Seat, inbound: &mut Streaming<AgentFrame>) -> Farewell {
        let (mut leader, token) = (self.shared.ports.leader.clone(), self.shared.group.token());
        let replaced = seat.replaced.clone();
        // Speaking needs the seat's orders, listening the seat itself.
        let Some(mut orders) = seat.orders.take() else { return Farewell::Silent };
        tokio::select! {
            biased;
            () = replaced.cancelled() => Farewell::Silent,
            () = token.cancelled() => {
                let leader = self.shared.ports.leader.borrow().clone();
                Farewell::NotLeader(if leader == Leader::Here { Leader::Unknown } else { leader })
            }
            now_leading = leader.wait_for(|leader| *leader != Leader::Here) => {
                Farewell::NotLeader(now_leading.map_or(Leader::Unknown, |leader| leader.clone()))
            }
            () = self.certificate_end() => self.expired(seat),
            farewell = self.listen(seat, inbound) => farewell,
            farewell = self.speak(&mut orders) => farewell,
        }
    }

    async fn speak(&self, orders: &mut mpsc::Receiver<Say>) -> Farewell {
        // May tell what the welcome has told already, but loses no change between the two.
        let mut servers = Some(self.shared.ports.servers.clone());
        let mut wide = Wide::new(self.shared.opened, self.shared.config.timing.wide, self.segment_bytes);
        loop {
            let news = async {
                match &mut servers {
                    Some(servers) => servers.changed().await,
                    None => std::future::pending().await,
                }
            };
            let frame = tokio::select! {
                order = orders.recv() => match order {
                    Some(order) => self.frame(order),
                    None => return Farewell::Silent,
                },
                wide = wide.due() => Some(control_frame::Frame::Wide(wide)),
                changed = news => match changed {
                    Ok(()) => Some(control_frame::Frame::Servers(Servers { addresses: addresses(&self.shared) })),
                    // The list stays as it is.
                    Err(_) => {
                        servers = None;
                        None
                    }
                },
            };
            let Some(frame) = frame else { continue };
            if self.out.send(say(frame)).await.is_err() {
                return Farewell::Silent;
            }
        }
    }

    fn frame(&self, order: Say) -> Option<control_frame::Frame> {
        match order {
            Say::Ping => Some(control_frame::Frame::Ping(clock::now().as_micros())),
            Say::Call(call) => Some(control_frame::Frame::Call(*call)),
            Say::Order(order) => match self.codec.encode(&*order) {
                Ok(bytes) => Some(control_frame::Frame::Order(bytes)),
                Err(error) => {
                    tracing::error!(%error, "an order cannot be sent");
                    None
                }
            },
        }
    }

    /// Resolves when the agent's certificate has run out; it should have renewed it long before.
    async fn certificate_end(&self) {
        loop {
            let left = self.certificate_ends.saturating_since(clock::now());
            if left.is_zero() {
                return;
            }
            // In steps, because clocks are set.
            tokio::time::sleep(left.min(Duration::from_secs(60))).await;
        }
    }

    fn expired(&self, seat: &Seat) -> Farewell {
        let text =
            format!("the certificate of agent {} has expired at {}", seat.agent, self.certificate_ends);
        Refusal::new(RefusalKind::Certificate, text).into()
    }
}

impl Farewell {
    fn frame(self) -> Option<control_frame::Frame> {
        match self {
            Self::Silent => None,
            Self::Refused(refusal) => Some(control_frame::Frame::Refusal(refusal.into())),
            Self::NotLeader(leader) => {
                let leader = match leader {
                    Leader::Elsewhere(address) => address.to_string(),
                    Leader::Here | Leader::Soon | Leader::Unknown => String::new(),
                };
                Some(control_frame::Frame::NotLeader(NotLeader { leader }))
            }
        }
    }
}

impl From<Refusal> for Farewell {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<Untrusted> for Farewell {
    fn from(why: Untrusted) -> Self {
        Self::Refused(why.into())
    }
}

fn addresses(shared: &Shared) -> Vec<String> {
    shared.ports.servers.borrow().iter().map(ToString::to_string).collect()
}

fn say(frame: control_frame::Frame) -> Box<ControlFrame> {
    Box::new(ControlFrame { frame: Some(frame) })
}
