//! A deployment: the way from one revision to the next.

use serde::{Deserialize, Serialize};

use super::moment::Moment;

/// A deployment of one service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct DeploymentView {
    /// Its id.
    pub deployment: String,
    /// The service it changes, told short.
    pub service: String,
    /// How far it is.
    pub state: DeploymentState,
    /// The revision it leads to.
    pub revision: u64,
    /// When it began.
    pub started_at: Moment,
    /// When it ended.
    pub ended_at: Option<Moment>,
    /// Wished instances.
    pub wanted: u32,
    /// Instances of the new kind that run.
    pub updated: u32,
    /// Instances of the new kind that are healthy.
    pub healthy: u32,
    /// Instances of the old kind that are left.
    pub outdated: u32,
    /// Where the service answers.
    pub url: Option<String>,
    /// What it waits for, or why it ended as it did.
    pub reason: Option<String>,
    /// What one can do about it.
    pub hint: Option<String>,
}

/// How far a deployment is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum DeploymentState {
    /// Under way.
    Running,
    /// All instances are of the new kind and healthy.
    Done,
    /// It could not be finished and goes back to the previous state.
    RollingBack,
    /// It could not be finished; the previous state runs again.
    RolledBack,
    /// It could not be finished, and there is no previous state.
    Failed,
    /// A newer deployment of the same service took over.
    Superseded,
}

impl DeploymentState {
    /// Whether nothing can follow.
    #[must_use]
    pub const fn is_over(self) -> bool {
        match self {
            Self::Running | Self::RollingBack => false,
            Self::Done | Self::RolledBack | Self::Failed | Self::Superseded => true,
        }
    }

    /// Its word for people.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Done => "done",
            Self::RollingBack => "rolling back",
            Self::RolledBack => "rolled back",
            Self::Failed => "failed",
            Self::Superseded => "superseded",
        }
    }
}
