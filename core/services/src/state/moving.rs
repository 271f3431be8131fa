//! Why a task shall not stay where it is.

use kogge_model::reason::Reason;
use kogge_model::time::Timestamp;
use serde::{Deserialize, Serialize};

/// A task that is to be replaced by one elsewhere. It serves until that one is healthy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Moving {
    /// What for.
    pub cause: MoveCause,
    /// Since when.
    pub since: Timestamp,
    /// Why, for people.
    pub reason: Reason,
    /// An offer at hand has room for its successor once it has gone: it may go first where bounds ask for that.
    #[serde(skip)]
    pub(crate) has_place: bool,
}

/// What a task moves for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MoveCause {
    /// Its agent's resources are wanted back.
    Drain,
    /// Another agent has fewer of its kind.
    Balance,
}

impl Moving {
    pub(crate) const fn new(cause: MoveCause, since: Timestamp, reason: Reason) -> Self {
        Self { cause, since, reason, has_place: false }
    }
}
