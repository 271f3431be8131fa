//! Letting machines in.

use std::time::Duration;

use kogge_link::token::{self, Accepted, MINT_BYTES, TokenRecord};
use kogge_link::{JoinRefused, Joining};
use kogge_model::caller::Caller;
use kogge_model::digest::Digest;
use kogge_model::id::AgentId;
use kogge_model::reason::Reason;
use kogge_model::time::Timestamp;

use super::{MAX_TOKENS, Member};
use crate::cloud::Cloud;
use crate::handle::Handle;
use crate::keys;
use crate::refusal::Refusal;
use crate::round::Round;

/// The longest time an invitation may be open: thirty days.
pub const MAX_TOKEN_LIFE: Duration = Duration::from_secs(30 * 24 * 3600);

/// A token for a new machine. It lets in whoever has it: shown once, kept nowhere.
#[derive(Clone, PartialEq, Eq)]
pub struct Invitation {
    /// The token, in clear.
    pub token: String,
    /// Its last moment.
    pub expires: Timestamp,
}

impl Handle {
    /// Makes a token that lets one machine in within `time_to_live`.
    ///
    /// # Errors
    /// When the time is out of bounds, or too many tokens are open.
    pub async fn invite(&self, _caller: &Caller, time_to_live: Duration) -> Result<Invitation, Refusal> {
        if time_to_live.is_zero() || time_to_live > MAX_TOKEN_LIFE {
            return Err(Refusal::field("ttl_seconds", "must be between one second and thirty days"));
        }
        let chance = kogge_host::seed::draw()
            .map_err(|error| Refusal::Broken(Reason::new(format!("cannot draw a secret: {error}"))))?;
        let mut random = [0; MINT_BYTES];
        random.copy_from_slice(&chance[..MINT_BYTES]);
        let authority = self.authority().certificate().fingerprint();
        self.alter(move |cloud, round| {
            let (token, record) = token::mint(&random, authority, round.now, time_to_live);
            let expires = record.expires;
            cloud.save_invitation(record, round)?;
            Ok(Invitation { token: token.reveal(), expires })
        })
        .await
    }

    /// Lets a machine in, durably, if its token is good; the agent's id belongs to its key from then on.
    ///
    /// # Errors
    /// When it is not let in, or that cannot be saved now.
    pub async fn admit(&self, joining: Joining) -> Result<(), JoinRefused> {
        let authority = self.authority().certificate().fingerprint();
        let told = self.alter(move |cloud, round| Ok(cloud.admit(joining, authority, round))).await;
        told.unwrap_or_else(|refusal| Err(JoinRefused::Unavailable(Reason::new(refusal.to_string()))))
    }
}

impl Cloud {
    /// Makes an agent a stranger: its certificate opens nothing any more.
    pub(crate) fn expel(&mut self, agent: &AgentId, round: &mut Round) {
        if self.access.members.contains_key(agent) {
            round.batch.delete(keys::under(keys::MEMBERS, agent));
            self.access.change_members(|members| drop(members.remove(agent)));
        }
    }

    fn save_invitation(&mut self, record: TokenRecord, round: &mut Round) -> Result<(), Refusal> {
        self.forget_tokens(round);
        if self.access.tokens.len() >= MAX_TOKENS {
            let reason = Reason::new(format!("{MAX_TOKENS} tokens are open: no more are given out"));
            return Err(Refusal::Conflict(reason.with_hint("wait until some have expired")));
        }
        round.batch.put(keys::under(keys::TOKENS, &record.id), &record);
        self.access.tokens.insert(record.id.clone(), record);
        Ok(())
    }

    fn forget_tokens(&mut self, round: &mut Round) {
        for id in self.access.dispensable_tokens(round.now) {
            round.batch.delete(keys::under(keys::TOKENS, &id));
            self.access.tokens.remove(&id);
        }
    }

    fn admit(&mut self, joining: Joining, authority: Digest, round: &mut Round) -> Result<(), JoinRefused> {
        let Joining { token, agent, key, from } = joining;
        let known = self.access.tokens.get(token.id());
        let accepted = token::check(known, &token, authority, key, round.now).map_err(JoinRefused::Token)?;
        if self.access.members.get(&agent).is_some_and(|member| member.key != key) {
            let reason = Reason::new(format!("the id {agent} belongs to another machine"));
            let hint = "use a data directory of its own for each agent; if the old machine is gone, forget it: \
                        kogge node forget";
            return Err(JoinRefused::Member(reason.with_hint(hint)));
        }
        if let Accepted::First(record) = accepted {
            round.batch.put(keys::under(keys::TOKENS, &record.id), &record);
            self.access.tokens.insert(record.id.clone(), record);
        }
        let member = Member { agent: agent.clone(), key, joined: round.now, from };
        round.batch.put(keys::under(keys::MEMBERS, &agent), &member);
        self.access.change_members(|members| drop(members.insert(agent, member)));
        Ok(())
    }
}
