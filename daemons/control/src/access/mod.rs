//! Who belongs to the cluster: its authority, the invitations it has given out, the machines that took one.
//!
//! ```text
//!  mint ──▶ token record ──▶ redeem (once) ──▶ member: agent id + digest of its key ──▶ the doors, by a watch
//!                                                └─ expel: its certificate opens nothing any more
//!  create ─▶ operator record ─▶ the API's door beyond loopback, by a watch ─▶ revoke
//! ```

mod join;
mod operator;
mod presence;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use kogge_link::token::TokenRecord;
use kogge_model::digest::Digest;
use kogge_model::id::AgentId;
use kogge_model::time::Timestamp;
use serde::{Deserialize, Serialize};

pub use join::{Invitation, MAX_TOKEN_LIFE};
pub use operator::{OperatorRecord, Operators, Stranger};
pub(crate) use presence::Impostor;
pub use presence::Move;

/// Invitations that are open at once; more are refused. So many are remembered, used ones included.
const MAX_TOKENS: usize = 1_000;

/// A machine that was let in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// The agent's id.
    pub agent: AgentId,
    /// The digest of its key: whoever has another one is somebody else.
    pub key: Digest,
    /// When it was let in.
    pub joined: Timestamp,
    /// From where.
    pub from: SocketAddr,
}

/// All members by their ids.
pub type Members = Arc<BTreeMap<AgentId, Member>>;

/// Tokens and members, as they are in the store.
#[derive(Debug, Default)]
pub(crate) struct Access {
    tokens: BTreeMap<String, TokenRecord>,
    members: Members,
    /// Whether the doors have not been told of the newest members.
    is_news: bool,
}

impl Access {
    /// As it was saved.
    pub(crate) fn restore(tokens: Vec<TokenRecord>, members: Vec<Member>) -> Self {
        let members: BTreeMap<AgentId, Member> =
            members.into_iter().map(|member| (member.agent.clone(), member)).collect();
        let tokens = tokens.into_iter().map(|record| (record.id.clone(), record)).collect();
        Self { tokens, members: Arc::new(members), is_news: true }
    }

    /// Those that nobody needs when another one is made: the expired ones, and the one that was used longest ago when there
    /// is no room otherwise. Who shows that one again is told that it is not known, no more that it was used.
    fn dispensable_tokens(&self, now: Timestamp) -> Vec<String> {
        let (expired, valid): (Vec<_>, Vec<_>) =
            self.tokens.values().partition(|record| record.expires <= now);
        let used = |record: &&TokenRecord| record.used.as_ref().map(|used| used.at);
        let is_full = valid.len() >= MAX_TOKENS;
        let oldest = valid.into_iter().filter(|record| is_full && record.used.is_some()).min_by_key(used);
        expired.into_iter().chain(oldest).map(|record| record.id.clone()).collect()
    }

    /// All members, if the doors have not been told.
    pub(crate) fn take_news(&mut self) -> Option<Members> {
        std::mem::take(&mut self.is_news).then(|| Arc::clone(&self.members))
    }

    fn change_members(&mut self, change: impl FnOnce(&mut BTreeMap<AgentId, Member>)) {
        change(Arc::make_mut(&mut self.members));
        self.is_news = true;
    }
}

#[cfg(test)]
mod tests {
    use kogge_link::token::TokenUse;

    use super::*;

    fn record(number: u64, used: Option<u64>) -> TokenRecord {
        let key = Digest::of(b"key");
        let used = used.map(|at| TokenUse { key, at: Timestamp::from_secs(at) });
        TokenRecord { id: number.to_string(), secret: key, expires: Timestamp::from_secs(100 + number), used }
    }

    #[test]
    fn tokens_that_were_used_make_room_for_others_and_open_ones_do_not() {
        let full = |used: fn(u64) -> Option<u64>| {
            let tokens = (0..).take(MAX_TOKENS).map(|number| record(number, used(number))).collect();
            Access::restore(tokens, Vec::new())
        };
        let now = Timestamp::from_secs(50);
        let half = full(|number| (number % 2 == 0).then_some(2_000 - number));
        assert_eq!(half.dispensable_tokens(now), ["998"]);
        assert!(full(|_| None).dispensable_tokens(now).is_empty());
        assert_eq!(full(|_| None).dispensable_tokens(Timestamp::from_secs(101)), ["0", "1"]);
        let roomy = Access::restore(vec![record(1, Some(1))], Vec::new());
        assert!(roomy.dispensable_tokens(now).is_empty());
    }
}
