//! Becoming a member: a token for an identity.

use kogge_host::clock;
use kogge_host::tasks::TaskGroup;
use kogge_model::id::AgentId;
use kogge_model::reason::Reason;
use thiserror::Error;

use super::connection::{DialError, connect};
use crate::address::ServerAddress;
use crate::identity::{AuthorityCertificate, Certificate, Identity, KeyError, PrivateKey};
use crate::refusal::Refusal;
use crate::timing::Timing;
use crate::tls::Trust;
use crate::token::Token;
use crate::wire::{Admission, JoinAnswer, JoinRequest, join_answer};

/// Servers that may send a joining agent on.
const MAX_HOPS: usize = 4;

/// Somebody who wants to be a member.
#[derive(Debug, Clone)]
pub struct JoinWish {
    /// Any server of the cluster.
    pub server: ServerAddress,
    /// The invitation. Only the authority that it names is believed.
    pub token: Token,
    /// Who the agent wants to be.
    pub agent: AgentId,
    /// Its own key, which stays here. Keep it before: after a lost answer the same key may try again.
    pub key: PrivateKey,
}

/// A member.
#[derive(Debug, Clone)]
pub struct Joined {
    /// What to show from now on.
    pub identity: Identity,
    /// Where the servers are.
    pub servers: Vec<ServerAddress>,
}

/// Why an agent did not become a member.
#[derive(Debug, Error)]
pub enum JoinError {
    /// The server cannot be reached, or is not the one the token names.
    #[error(transparent)]
    Dial(#[from] DialError),
    /// It does not let the agent in.
    #[error("server {server} does not let this machine in")]
    Refused {
        /// Which.
        server: ServerAddress,
        /// Why.
        source: Refusal,
    },
    /// No server leads at the moment.
    #[error("server {server} does not know which server leads")]
    NoLeader {
        /// Which.
        server: ServerAddress,
    },
    /// It says what makes no sense.
    #[error("server {server} {what}")]
    Answer {
        /// Which.
        server: ServerAddress,
        /// What it did.
        what: String,
    },
    /// The key signs nothing.
    #[error(transparent)]
    Key(#[from] KeyError),
}

impl JoinError {
    /// The whole chain as one sentence, with what to do about it.
    #[must_use]
    pub fn reason(&self) -> Reason {
        match self {
            Self::Dial(error) => error.reason(),
            Self::Refused { source, .. } => {
                Reason { text: format!("{self}: {source}"), hint: source.reason.hint.clone() }
            }
            Self::NoLeader { .. } => Reason::new(self.to_string()).with_hint("try again in a few seconds"),
            Self::Answer { .. } | Self::Key(_) => Reason::new(self.to_string()),
        }
    }
}

/// Joins the cluster that `wish.token` names.
///
/// # Errors
/// When the server cannot be reached or believed, or does not let the agent in.
pub async fn join(wish: &JoinWish, timing: &Timing, group: &TaskGroup) -> Result<Joined, JoinError> {
    let mut server = wish.server.clone();
    for _ in 0..MAX_HOPS {
        let answer = ask(wish, &server, timing, group).await?;
        match answer.outcome {
            Some(join_answer::Outcome::Admission(admission)) => return accept(wish, &server, &admission),
            Some(join_answer::Outcome::Refusal(refusal)) => {
                return Err(JoinError::Refused { server, source: refusal.into() });
            }
            Some(join_answer::Outcome::NotLeader(not_leader)) => match not_leader.leader.parse() {
                Ok(leader) => server = leader,
                Err(_) => return Err(JoinError::NoLeader { server }),
            },
            None => return Err(strange(&server, "answers what cannot be read")),
        }
    }
    Err(JoinError::NoLeader { server })
}

async fn ask(
    wish: &JoinWish,
    server: &ServerAddress,
    timing: &Timing,
    group: &TaskGroup,
) -> Result<JoinAnswer, JoinError> {
    let trust = Trust::Pinned(wish.token.authority());
    let mut client = connect(server, trust, None, timing, group).await?.client;
    let request = JoinRequest {
        token: wish.token.reveal(),
        agent: wish.agent.to_string(),
        signing_request: wish.key.signing_request()?.as_der().to_vec().into(),
        now_us: clock::now().as_micros(),
    };
    let answer = tokio::time::timeout(timing.answer * 2, client.join(request)).await;
    let answer = answer.map_err(|_| strange(server, "does not answer"))?;
    Ok(answer.map_err(|status| strange(server, format!("failed: {}", status.message())))?.into_inner())
}

/// Checks what was promised: the authority of the token, our name, our key.
fn accept(wish: &JoinWish, server: &ServerAddress, admission: &Admission) -> Result<Joined, JoinError> {
    let strange = |what: String| strange(server, what);
    let authority = AuthorityCertificate::from_der(admission.authority.to_vec().into());
    let authority = authority.map_err(|error| strange(format!("names an authority, but {error}")))?;
    if authority.fingerprint() != wish.token.authority() {
        return Err(strange("names another authority than the token".to_owned()));
    }
    let certificate = Certificate::from_der(admission.certificate.to_vec().into());
    let certificate = certificate.map_err(|error| strange(format!("made a certificate, but {error}")))?;
    if certificate.peer().agent().as_ref() != Some(&wish.agent)
        || certificate.peer().cluster() != authority.cluster()
    {
        return Err(strange(format!("made a certificate for {}", certificate.peer())));
    }
    let identity = Identity::new(wish.key.clone(), certificate, authority);
    let identity = identity.map_err(|error| strange(format!("made a certificate, but {error}")))?;
    let mut servers: Vec<ServerAddress> =
        admission.servers.iter().filter_map(|text| text.parse().ok()).collect();
    if servers.is_empty() {
        servers.push(server.clone());
    }
    Ok(Joined { identity, servers })
}

fn strange(server: &ServerAddress, what: impl Into<String>) -> JoinError {
    JoinError::Answer { server: server.clone(), what: what.into() }
}
