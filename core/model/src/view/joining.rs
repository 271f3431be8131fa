//! Invitations for new machines.

use serde::{Deserialize, Serialize};

use super::Moment;

/// An invitation to make.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct InviteRequest {
    /// How long it is good for, in seconds; an hour when left out, thirty days at most.
    pub ttl_seconds: Option<u64>,
}

/// An invitation for one machine: lets in whoever has it, once.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct InvitationView {
    /// The token; it is told this once, and kept nowhere.
    pub token: String,
    /// Its last moment.
    pub expires_at: Moment,
    /// Where servers let machines in; empty when this cloud has no door for them.
    pub servers: Vec<String>,
}

/// Without the token.
impl std::fmt::Debug for InvitationView {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("InvitationView").field("expires_at", &self.expires_at).finish_non_exhaustive()
    }
}
