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

/// Invitations that are open at once; more are refused.
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

    /// All members, if the doors have not been told.
    pub(crate) fn take_news(&mut self) -> Option<Members> {
        std::mem::take(&mut self.is_news).then(|| Arc::clone(&self.members))
    }

    fn change_members(&mut self, change: impl FnOnce(&mut BTreeMap<AgentId, Member>)) {
        change(Arc::make_mut(&mut self.members));
        self.is_news = true;
    }
}
