//! A deployment: the way from one version of a service to the next.

use kogge_model::digest::Digest;
use kogge_model::id::{DeploymentId, RevisionId};
use kogge_model::reason::Reason;
use kogge_model::time::Timestamp;
use serde::{Deserialize, Serialize};

/// The way of one service from what was to what a revision wants.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deployment {
    /// Its id.
    pub id: DeploymentId,
    /// The revision it leads to.
    pub revision: RevisionId,
    /// What instances ran before; none for a new service.
    pub from: Option<Digest>,
    /// What they shall run.
    pub to: Digest,
    /// When it began.
    pub started_at: Timestamp,
    /// It gives up then at the latest.
    pub deadline_at: Timestamp,
    /// How far it came, and when it last came further.
    pub progress: Progress,
    /// What went wrong since one of the new instances last held up.
    pub failures: Failures,
    /// How it stands.
    pub state: DeploymentState,
}

/// The best that a deployment has reached. Going back and forth is no progress.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// Most new instances that were healthy together.
    pub most_healthy: u32,
    /// Fewest instances that were not new.
    pub fewest_outdated: u32,
    /// When one of these last got better.
    pub at: Timestamp,
}

/// What went wrong with new instances, since one of them last held up.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Failures {
    /// They ended by themselves, or were killed for being unhealthy.
    pub crashes: u32,
    /// Their agents refused them.
    pub rejections: u32,
    /// They ran, and were not healthy once within their grace.
    pub never_healthy: u32,
    /// Why the last one ended.
    pub last: Option<Reason>,
}

/// How a deployment stands.
///
/// ```text
///  Running ──▶ Succeeded
///   │  │  └──▶ Failed        there is no good version to go back to, or only the number changes
///   │  ▼
///   │ RollingBack ──▶ RolledBack
///   │  │       └────▶ Failed           that did not work either
///   ▼  ▼
///  Superseded                by a newer change
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum DeploymentState {
    /// Under way.
    Running,
    /// All instances are of the wanted version and healthy.
    Succeeded {
        /// When.
        at: Timestamp,
    },
    /// It gave up; the last good version is asked for or on its way.
    RollingBack {
        /// When the tree was last asked.
        asked_at: Timestamp,
        /// Why it gave up.
        reason: Reason,
    },
    /// It gave up; the last good version runs again.
    RolledBack {
        /// When.
        at: Timestamp,
        /// Why it gave up.
        reason: Reason,
    },
    /// It gave up and cannot go back. The service keeps trying.
    Failed {
        /// When.
        at: Timestamp,
        /// Why it gave up.
        reason: Reason,
    },
    /// A newer change took over.
    Superseded {
        /// When.
        at: Timestamp,
        /// The revision that did.
        by: RevisionId,
    },
}

impl Deployment {
    /// Whether something can still follow.
    #[must_use]
    pub const fn is_under_way(&self) -> bool {
        self.state.is_under_way()
    }

    /// Why it gave up, if it did.
    #[must_use]
    pub const fn reason(&self) -> Option<&Reason> {
        match &self.state {
            DeploymentState::RollingBack { reason, .. }
            | DeploymentState::RolledBack { reason, .. }
            | DeploymentState::Failed { reason, .. } => Some(reason),
            DeploymentState::Running
            | DeploymentState::Succeeded { .. }
            | DeploymentState::Superseded { .. } => None,
        }
    }

    /// When it ended.
    #[must_use]
    pub const fn ended_at(&self) -> Option<Timestamp> {
        match self.state {
            DeploymentState::Succeeded { at }
            | DeploymentState::RolledBack { at, .. }
            | DeploymentState::Failed { at, .. }
            | DeploymentState::Superseded { at, .. } => Some(at),
            DeploymentState::Running | DeploymentState::RollingBack { .. } => None,
        }
    }

    /// Moves on.
    ///
    /// # Panics
    /// When a deployment does not go that way.
    pub(crate) fn enter(&mut self, next: DeploymentState) {
        let (from, to) = (self.state.word(), next.word());
        assert!(self.state.may_become(&next), "deployment {} went from {from} to {to}", self.id);
        self.state = next;
    }
}

impl DeploymentState {
    /// Whether something can still follow.
    #[must_use]
    pub const fn is_under_way(&self) -> bool {
        match self {
            Self::Running | Self::RollingBack { .. } => true,
            Self::Succeeded { .. }
            | Self::RolledBack { .. }
            | Self::Failed { .. }
            | Self::Superseded { .. } => false,
        }
    }

    /// Whether `next` may follow.
    #[must_use]
    pub const fn may_become(&self, next: &Self) -> bool {
        match self {
            Self::Running => !matches!(next, Self::Running | Self::RolledBack { .. }),
            Self::RollingBack { .. } => !matches!(next, Self::Running | Self::Succeeded { .. }),
            Self::Succeeded { .. }
            | Self::RolledBack { .. }
            | Self::Failed { .. }
            | Self::Superseded { .. } => false,
        }
    }

    /// Its word for people and machines.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Succeeded { .. } => "succeeded",
            Self::RollingBack { .. } => "rolling back",
            Self::RolledBack { .. } => "rolled back",
            Self::Failed { .. } => "failed",
            Self::Superseded { .. } => "superseded",
        }
    }
}
