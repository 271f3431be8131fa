//! Letting agents in, and keeping them in.

use std::net::SocketAddr;
use std::time::Duration;

use kogge_host::clock;
use kogge_model::id::AgentId;
use kogge_model::time::Timestamp;

use super::caller::Caller;
use super::ports::{JoinRefused, Joining};
use super::shared::Shared;
use crate::identity::{Certificate, Peer, Role, SigningRequest};
use crate::refusal::{Refusal, RefusalKind};
use crate::token::{Refused, Token};
use crate::wire::{
    Admission, JoinAnswer, JoinRequest, NotLeader, RenewAnswer, RenewRequest, join_answer, renew_answer,
};

/// A token for a certificate.
pub(super) async fn join(shared: &Shared, from: SocketAddr, request: JoinRequest) -> JoinAnswer {
    let outcome = match try_join(shared, from, request).await {
        Ok(admission) => join_answer::Outcome::Admission(admission),
        Err(No::Refused(refusal)) => {
            tracing::info!(%from, %refusal, "an agent was not let in");
            join_answer::Outcome::Refusal(refusal.into())
        }
        Err(No::NotLeader(leader)) => join_answer::Outcome::NotLeader(NotLeader { leader }),
    };
    JoinAnswer { outcome: Some(outcome) }
}

enum No {
    Refused(Refusal),
    NotLeader(String),
}

impl From<Refusal> for No {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

async fn try_join(shared: &Shared, from: SocketAddr, request: JoinRequest) -> Result<Admission, No> {
    let now = clock::now();
    check_clock(now, Timestamp::from_micros(request.now_us), shared.config.clock_tolerance)?;
    let malformed = |error: String| Refusal::new(RefusalKind::Malformed, error);
    let token: Token = request.token.parse().map_err(|error| malformed(format!("{error}")))?;
    let authority = shared.ports.signer.authority();
    if token.authority() != authority.fingerprint() {
        return Err(Refusal::from(Refused::OtherCluster).into());
    }
    let peer = Peer::new(authority.cluster().clone(), Role::Agent, request.agent);
    let peer = peer.map_err(|error| malformed(error.to_string()))?;
    let signing_request = SigningRequest::unchecked(request.signing_request.to_vec());
    let key = signing_request.key_fingerprint().map_err(|error| malformed(error.to_string()))?;
    let joining = Joining { token, agent: AgentId::new(peer.id()), key, from };
    let redeemed = tokio::time::timeout(shared.config.timing.answer, shared.ports.gate.redeem(joining));
    redeemed.await.unwrap_or_else(|_| Err(JoinRefused::Unavailable("the server is too busy".into())))?;
    let certificate = sign(shared, &signing_request, &peer)?;
    tracing::info!(%from, agent = peer.id(), "an agent has joined");
    Ok(Admission {
        certificate: certificate.der().to_vec().into(),
        authority: authority.der().to_vec().into(),
        servers: shared.ports.servers.borrow().iter().map(ToString::to_string).collect(),
    })
}

impl From<JoinRefused> for No {
    fn from(why: JoinRefused) -> Self {
        match why {
            JoinRefused::Token(why) => Self::Refused(why.into()),
            JoinRefused::Member(reason) => Self::Refused(Refusal { kind: RefusalKind::Membership, reason }),
            JoinRefused::Unavailable(reason) => {
                Self::Refused(Refusal { kind: RefusalKind::Unavailable, reason })
            }
            JoinRefused::NotLeader(leader) => {
                Self::NotLeader(leader.map(|leader| leader.to_string()).unwrap_or_default())
            }
        }
    }
}

/// A fresh certificate for an old one.
pub(super) fn renew(shared: &Shared, caller: &Caller, request: RenewRequest) -> RenewAnswer {
    let outcome = match try_renew(shared, caller, request) {
        Ok(certificate) => renew_answer::Outcome::Certificate(certificate.der().to_vec().into()),
        Err(refusal) => {
            tracing::info!(from = %caller.from, %refusal, "a certificate was not renewed");
            renew_answer::Outcome::Refusal(refusal.into())
        }
    };
    RenewAnswer { outcome: Some(outcome) }
}

fn try_renew(shared: &Shared, caller: &Caller, request: RenewRequest) -> Result<Certificate, Refusal> {
    let since = clock::now().minus(shared.config.late_renewal);
    let agent = caller.late_agent(shared.ports.signer.authority(), since)?;
    let key = agent.certificate.key_fingerprint();
    let membership = |reason| Refusal { kind: RefusalKind::Membership, reason };
    shared.ports.gate.admit(&agent.agent, key).map_err(membership)?;
    let request = SigningRequest::unchecked(request.signing_request.to_vec());
    let asked = request.key_fingerprint();
    if asked.map_err(|error| Refusal::new(RefusalKind::Malformed, error.to_string()))? != key {
        let text = format!("agent {} keeps its key when it renews its certificate", agent.agent);
        return Err(Refusal::new(RefusalKind::Malformed, text));
    }
    sign(shared, &request, agent.certificate.peer())
}

fn sign(shared: &Shared, request: &SigningRequest, peer: &Peer) -> Result<Certificate, Refusal> {
    shared.ports.signer.sign(request, peer, clock::now(), shared.config.lifetime).map_err(|error| {
        tracing::error!(%peer, %error, "cannot sign a certificate");
        Refusal::new(RefusalKind::Unavailable, format!("cannot sign a certificate: {error}"))
    })
}

/// A clock that is far off makes certificates worthless and logs misleading: better told while a person is watching.
fn check_clock(ours: Timestamp, theirs: Timestamp, tolerance: Duration) -> Result<(), Refusal> {
    let (late, early) = (ours.saturating_since(theirs), theirs.saturating_since(ours));
    if late.max(early) <= tolerance {
        return Ok(());
    }
    let word = if late > early { "behind" } else { "ahead of" };
    let minutes = late.max(early).as_secs() / 60;
    let text = format!(
        "the clock of the joining machine is {} h {} min {word} the server's: it says {theirs}, the server's {ours}",
        minutes / 60,
        minutes % 60
    );
    Err(Refusal::new(RefusalKind::Clock, text)
        .with_hint("set the clocks, for example with `timedatectl set-ntp true`"))
}
