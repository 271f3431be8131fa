//! Tokens of operators: who may come in from beyond this machine, and by which name.
//!
//! The door asks for each request and answers from memory, on every server: what is durable is published to a watch.
//! Records stay for a while when they open nothing any more, so that whoever shows one is told why.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use kogge_host::clock;
use kogge_model::caller::Caller;
use kogge_model::digest::Digest;
use kogge_model::fault::Faults;
use kogge_model::reason::Reason;
use kogge_model::time::Timestamp;
use kogge_model::token::{MINT_BYTES, OperatorToken};
use kogge_model::view::{CreateTokenRequest, CreatedTokenView, TokenState, TokenView};
use serde::{Deserialize, Serialize};
use thiserror::Error;
use tokio::sync::watch;

use crate::cloud::Cloud;
use crate::handle::Handle;
use crate::keys;
use crate::refusal::Refusal;
use crate::round::Round;

/// Tokens that open the door; no more are given out.
const MAX_VALID: usize = 1_000;
/// Tokens that do not any more and are remembered, the youngest first.
const MAX_ENDED: usize = 200;
const DEFAULT_LIFE: Duration = Duration::from_secs(90 * 24 * 3600);
const MAX_LIFE: Duration = Duration::from_secs(3_660 * 24 * 3600);
const MAX_NAME_BYTES: usize = 63;

/// What the cluster keeps of an operator's token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OperatorRecord {
    id: String,
    secret: Digest,
    name: String,
    created: Timestamp,
    created_by: String,
    /// None if it stays good until it is revoked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    expires: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    revoked: Option<Timestamp>,
}

/// All tokens of operators by their ids.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Operators(BTreeMap<String, OperatorRecord>);

/// Why whoever shows something at the door is nobody here.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Stranger {
    /// It is no token at all, or one for something else.
    #[error("what was shown is no token of an operator")]
    NoToken,
    /// Another cluster gave it out.
    #[error("the token is another cluster's")]
    OtherCluster,
    /// Nobody gave it out, or it is forgotten.
    #[error("the token is wrong: this cluster knows no such token")]
    Wrong,
    /// Its time is over.
    #[error("the token {name} expired at {at}")]
    Expired {
        /// What it was called.
        name: String,
        /// Its last moment.
        at: Timestamp,
    },
    /// Somebody took it back.
    #[error("the token {name} was revoked at {at}")]
    Revoked {
        /// What it was called.
        name: String,
        /// When.
        at: Timestamp,
    },
}

impl Stranger {
    /// What to do about it.
    #[must_use]
    pub const fn hint(&self) -> &'static str {
        match self {
            Self::NoToken => {
                "copy the whole line that `kogge token create` printed; tokens for joining machines open nothing here"
            }
            Self::OtherCluster => {
                "check the address, or make a token of its cluster: `kogge token create NAME` on one of its servers"
            }
            Self::Wrong | Self::Expired { .. } | Self::Revoked { .. } => {
                "make a new one on a server: `kogge token create NAME`"
            }
        }
    }
}

impl OperatorRecord {
    fn state(&self, now: Timestamp) -> TokenState {
        match (self.revoked, self.expires) {
            (Some(_), _) => TokenState::Revoked,
            (None, Some(expires)) if now >= expires => TokenState::Expired,
            (None, _) => TokenState::Valid,
        }
    }

    /// When it stopped being good, for the order in which records are forgotten.
    fn ended(&self) -> Timestamp {
        self.revoked.or(self.expires).unwrap_or(self.created)
    }

    fn view(&self, now: Timestamp) -> TokenView {
        TokenView {
            id: self.id.clone(),
            name: self.name.clone(),
            state: self.state(now),
            created_at: self.created.into(),
            created_by: self.created_by.clone(),
            expires_at: self.expires.map(Into::into),
        }
    }
}

impl Operators {
    /// As they were saved.
    pub(crate) fn restore(records: Vec<OperatorRecord>) -> Self {
        Self(records.into_iter().map(|record| (record.id.clone(), record)).collect())
    }

    /// Who shows that token to the cluster of `authority`.
    ///
    /// # Errors
    /// When it opens nothing, with the reason.
    pub fn recognise(
        &self,
        token: &OperatorToken,
        authority: Digest,
        now: Timestamp,
    ) -> Result<Caller, Stranger> {
        if token.authority() != authority {
            return Err(Stranger::OtherCluster);
        }
        // An id that is not known takes as long as one that is: ids are no secrets, but need not be told either.
        let record = self.0.get(token.id());
        let kept = record.map_or(authority, |record| record.secret);
        let is_right = is_same(kept, token.secret_digest());
        let record = record.filter(|_| is_right).ok_or(Stranger::Wrong)?;
        let (name, at) = (record.name.clone(), record.ended());
        match record.state(now) {
            TokenState::Valid => Ok(Caller::operator(&name)),
            TokenState::Expired => Err(Stranger::Expired { name, at }),
            TokenState::Revoked => Err(Stranger::Revoked { name, at }),
        }
    }

    fn valid(&self, now: Timestamp) -> impl Iterator<Item = &OperatorRecord> {
        self.0.values().filter(move |record| record.state(now) == TokenState::Valid)
    }

    /// The record meant by a name or an id: of several of one name the valid one.
    fn named(&self, token: &str, now: Timestamp) -> Option<&OperatorRecord> {
        let by_name = || {
            let named = self.0.values().filter(|record| record.name == token);
            named.max_by_key(|record| (record.state(now) == TokenState::Valid, record.ended()))
        };
        self.0.get(token).or_else(by_name)
    }
}

/// Looks at all bytes, whatever they are.
fn is_same(one: Digest, other: Digest) -> bool {
    let differences = one.as_bytes().iter().zip(other.as_bytes()).map(|(a, b)| a ^ b);
    std::hint::black_box(differences.fold(0, |all, difference| all | difference)) == 0
}

impl Handle {
    /// Who may come in from beyond this machine, now and from now on.
    #[must_use]
    pub fn operators(&self) -> watch::Receiver<Arc<Operators>> {
        self.inner.operators.clone()
    }

    /// Who shows that text at a door. Answers at once, from memory.
    ///
    /// # Errors
    /// When it opens nothing, with the reason.
    pub fn recognise(&self, text: &str) -> Result<Caller, Stranger> {
        let token = text.parse().map_err(|_| Stranger::NoToken)?;
        let authority = self.authority().certificate().fingerprint();
        self.inner.operators.borrow().recognise(&token, authority, clock::now())
    }

    /// All tokens of operators, by name.
    ///
    /// # Errors
    /// When control is ending.
    pub async fn tokens(&self) -> Result<Vec<TokenView>, Refusal> {
        self.look(|cloud, now| {
            let mut views: Vec<TokenView> =
                cloud.operators.0.values().map(|record| record.view(now)).collect();
            views.sort_by(|a, b| (&a.name, a.created_at).cmp(&(&b.name, b.created_at)));
            Ok(views)
        })
        .await
    }

    /// Makes a token. Its secret is told this once and kept nowhere.
    ///
    /// # Errors
    /// When the name or the time breaks a rule, the name is taken, or too many tokens are out.
    pub async fn create_token(
        &self,
        caller: &Caller,
        request: CreateTokenRequest,
    ) -> Result<CreatedTokenView, Refusal> {
        let life = check(&request)?;
        let chance = kogge_host::seed::draw()
            .map_err(|error| Refusal::Broken(Reason::new(format!("cannot draw a secret: {error}"))))?;
        let mut random = [0; MINT_BYTES];
        random.copy_from_slice(&chance[..MINT_BYTES]);
        let token = OperatorToken::mint(&random, self.authority().certificate().fingerprint());
        let (id, digest, created_by) = (token.id().to_owned(), token.secret_digest(), caller.name.clone());
        let view = self.alter(move |cloud, round| {
            let record = OperatorRecord {
                id,
                secret: digest,
                name: request.name,
                created: round.now,
                created_by,
                expires: life.map(|life| round.now.plus(life)),
                revoked: None,
            };
            cloud.add_operator(record, round)
        });
        Ok(CreatedTokenView { token: view.await?, secret: token.reveal() })
    }

    /// Takes a token back, named by its name or its id. From the answer on it opens nothing.
    ///
    /// # Errors
    /// When there is none.
    pub async fn revoke_token(&self, caller: &Caller, token: String) -> Result<TokenView, Refusal> {
        let caller = caller.clone();
        self.alter(move |cloud, round| cloud.revoke_operator(&token, &caller, round)).await
    }
}

/// How long it is to be good, if not for ever.
fn check(request: &CreateTokenRequest) -> Result<Option<Duration>, Refusal> {
    let CreateTokenRequest { name, expires_in_ms, never_expires } = request;
    let mut faults = Faults::default();
    let is_plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b'@');
    let is_name = (1..=MAX_NAME_BYTES).contains(&name.len()) && name.bytes().all(is_plain) && name != "kogge";
    faults.check(is_name, "name", || {
        format!("{name:?} is not a name for a token: use 1 to 63 of letters, digits, '-', '_', '.' and '@'")
    });
    let life = expires_in_ms.map_or(DEFAULT_LIFE, Duration::from_millis);
    faults.check(!life.is_zero() && life <= MAX_LIFE, "expires_in_ms", || {
        "must be more than nothing and at most ten years".to_owned()
    });
    faults.check(expires_in_ms.is_none() || !never_expires, "never_expires", || {
        "it cannot expire and not expire".to_owned()
    });
    Ok(faults.finish((!never_expires).then_some(life))?)
}

impl Cloud {
    fn add_operator(&mut self, record: OperatorRecord, round: &mut Round) -> Result<TokenView, Refusal> {
        let now = round.now;
        if self.operators.valid(now).any(|known| known.name == record.name) {
            let reason = Reason::new(format!("there is a token {} already", record.name));
            let hint =
                format!("choose another name, or revoke it first: `kogge token revoke {}`", record.name);
            return Err(Refusal::Conflict(reason.with_hint(hint)));
        }
        if self.operators.valid(now).count() >= MAX_VALID {
            let reason = Reason::new(format!("{MAX_VALID} tokens are out: no more are given out"));
            return Err(Refusal::Conflict(reason.with_hint("revoke some: `kogge token list`")));
        }
        self.forget_ended(round);
        round.batch.put(keys::under(keys::OPERATORS, &record.id), &record);
        tracing::info!(
            caller = record.created_by,
            token = record.id,
            name = record.name,
            "a token is given out"
        );
        let view = record.view(now);
        Arc::make_mut(&mut self.operators).0.insert(record.id.clone(), record);
        Ok(view)
    }

    fn revoke_operator(
        &mut self,
        token: &str,
        caller: &Caller,
        round: &mut Round,
    ) -> Result<TokenView, Refusal> {
        let Some(record) = self.operators.named(token, round.now) else {
            let reason = Reason::new(format!("there is no token {token}"));
            return Err(Refusal::NotFound(reason.with_hint("kogge token list tells which there are")));
        };
        let revoked = record.revoked.or(Some(round.now));
        let record = OperatorRecord { revoked, ..record.clone() };
        round.batch.put(keys::under(keys::OPERATORS, &record.id), &record);
        tracing::info!(%caller, token = record.id, name = record.name, "a token is revoked");
        let view = record.view(round.now);
        Arc::make_mut(&mut self.operators).0.insert(record.id.clone(), record);
        Ok(view)
    }

    fn forget_ended(&mut self, round: &mut Round) {
        let is_ended = |record: &&OperatorRecord| record.state(round.now) != TokenState::Valid;
        let mut ended: Vec<_> = self.operators.0.values().filter(is_ended).collect();
        ended.sort_by_key(|record| std::cmp::Reverse(record.ended()));
        let old: Vec<String> = ended.iter().skip(MAX_ENDED).map(|record| record.id.clone()).collect();
        for id in old {
            round.batch.delete(keys::under(keys::OPERATORS, &id));
            Arc::make_mut(&mut self.operators).0.remove(&id);
        }
    }
}

#[cfg(test)]
mod tests {
    use kogge_model::fault::Fault;

    use super::*;

    const NOW: Timestamp = Timestamp::from_secs(1_000);

    fn minted(seed: u8) -> OperatorToken {
        OperatorToken::mint(&[seed; MINT_BYTES], Digest::of(b"authority"))
    }

    fn operators(expires: Option<Timestamp>, revoked: Option<Timestamp>) -> Operators {
        let token = minted(1);
        Operators::restore(vec![OperatorRecord {
            id: token.id().to_owned(),
            secret: token.secret_digest(),
            name: "ann".into(),
            created: Timestamp::ZERO,
            created_by: "local operator".into(),
            expires,
            revoked,
        }])
    }

    fn shown(operators: &Operators, token: &OperatorToken) -> Result<Caller, Stranger> {
        operators.recognise(token, Digest::of(b"authority"), NOW)
    }

    #[test]
    fn only_a_token_that_is_right_and_good_has_a_name() {
        let later = NOW.plus(Duration::from_secs(1));
        let ann = Ok(Caller::operator("ann"));
        assert_eq!(shown(&operators(None, None), &minted(1)), ann);
        assert_eq!(shown(&operators(Some(later), None), &minted(1)), ann);
        let name = || "ann".to_owned();
        let expired = Stranger::Expired { name: name(), at: NOW };
        assert_eq!(shown(&operators(Some(NOW), None), &minted(1)), Err(expired));
        let revoked = Stranger::Revoked { name: name(), at: NOW };
        assert_eq!(shown(&operators(Some(later), Some(NOW)), &minted(1)), Err(revoked));
        assert_eq!(shown(&operators(None, None), &minted(2)), Err(Stranger::Wrong));
        let foreign = operators(None, None).recognise(&minted(1), Digest::of(b"other"), NOW);
        assert_eq!(foreign, Err(Stranger::OtherCluster));
    }

    #[test]
    fn a_right_id_with_a_wrong_secret_is_wrong_and_learns_nothing_more() {
        let other = OperatorToken::mint(
            &std::array::from_fn(|at| if at < 6 { 1 } else { 9 }),
            Digest::of(b"authority"),
        );
        assert_eq!(other.id(), minted(1).id());
        assert_eq!(shown(&operators(Some(NOW), None), &other), Err(Stranger::Wrong));
    }

    #[test]
    fn wishes_that_break_rules_name_the_fields() {
        let wish = |name: &str, expires_in_ms, never_expires| match check(&CreateTokenRequest {
            name: name.into(),
            expires_in_ms,
            never_expires,
        }) {
            Err(Refusal::Invalid(Faults(faults))) => {
                faults.into_iter().map(|fault: Fault| fault.field).collect()
            }
            Ok(_) => Vec::new(),
            Err(other) => panic!("{other}"),
        };
        assert_eq!(wish("ann@example.org", None, true), [""; 0]);
        assert_eq!(wish("", Some(0), false), ["name", "expires_in_ms"]);
        assert_eq!(wish("local operator", Some(u64::MAX), true), ["name", "expires_in_ms", "never_expires"]);
        assert_eq!(wish("kogge", None, false), ["name"]);
    }
}
