//! Resources held for a framework until it decides.

use kogge_model::id::{AgentId, FrameworkId, OfferId, Term};
use kogge_model::resources::Resources;
use kogge_model::time::Timestamp;

/// An offer that is out.
#[derive(Debug, Clone)]
pub(crate) struct OpenOffer {
    pub(crate) framework: FrameworkId,
    pub(crate) agent: AgentId,
    pub(crate) resources: Resources,
    pub(crate) made_at: Timestamp,
}

/// Offers are numbered within their leader's term, so that a number never returns though no offer is kept.
pub(crate) const fn first_of(term: Term) -> OfferId {
    OfferId(term.0 << 40 | 1)
}
