//! What a kernel is told once: whose it is, and how long it waits for what.

use std::time::Duration;

use kogge_model::id::{ClusterId, Term};

/// Identity and patience of a kernel. The defaults are those of the guarantees' table of timeouts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Whose cluster: agents of another one are turned away (G4).
    pub cluster: ClusterId,
    /// Which leader this is: an agent that has obeyed a higher one makes the kernel step down (G4).
    pub term: Term,
    /// Whether this leader has founded the cluster: then there is nothing that its records may have forgotten.
    pub is_founder: bool,
    /// Silence after which an agent gets no new tasks.
    pub suspect_after: Duration,
    /// Silence after which an agent counts as gone.
    pub lost_after: Duration,
    /// Patience on top after a start or a pause of the server, before any agent is judged.
    pub grace: Duration,
    /// When many agents vanish at once.
    pub mass_loss: MassLoss,
    /// First wait before an unanswered order is sent again; each further wait is twice as long.
    pub resend_first: Duration,
    /// Longest wait between two sendings of an order.
    pub resend_max: Duration,
    /// An offer older than this is taken back when another framework waits.
    pub offer_timeout: Duration,
    /// Shortest time a declined offer is not repeated, so that nobody declines in circles.
    pub refuse_min: Duration,
    /// How long an agent may stop mentioning a task that ran there until it counts as lost.
    pub missing_after: Duration,
    /// A lost agent is forgotten after this long.
    pub forget_agent_after: Duration,
}

/// The mass-loss guard: that many agents at once are more likely cut off than dead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MassLoss {
    /// It guards when more than this share of all agents is silent,
    pub over_percent: usize,
    /// and at least so many,
    pub at_least: usize,
    /// that fell silent within this time of each other.
    pub window: Duration,
    /// So long after their last word they are not judged.
    pub wait: Duration,
}

impl Config {
    /// The defaults for the leader `term` of `cluster`.
    #[must_use]
    pub const fn new(cluster: ClusterId, term: Term) -> Self {
        Self {
            cluster,
            term,
            is_founder: false,
            suspect_after: Duration::from_secs(3),
            lost_after: Duration::from_secs(5),
            grace: Duration::from_secs(5),
            mass_loss: MassLoss {
                over_percent: 20,
                at_least: 3,
                window: Duration::from_secs(10),
                wait: Duration::from_secs(60),
            },
            resend_first: Duration::from_secs(1),
            resend_max: Duration::from_secs(5),
            offer_timeout: Duration::from_secs(10),
            refuse_min: Duration::from_millis(50),
            missing_after: Duration::from_secs(5),
            forget_agent_after: Duration::from_secs(24 * 3600),
        }
    }
}
