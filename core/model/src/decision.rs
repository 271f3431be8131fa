//! What was decided about a service or a task, kept to be read afterwards (G23).

use serde::{Deserialize, Serialize};

use crate::id::TaskId;
use crate::name::ServiceId;
use crate::reason::Reason;
use crate::time::Timestamp;

/// One decision with its reason; `kogge why` prints these.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decision {
    /// When it was taken.
    pub at: Timestamp,
    /// The service it is about, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<ServiceId>,
    /// The instance's number, if it is about one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<u32>,
    /// The task it is about, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<TaskId>,
    /// What was decided: `placed`, `restart`, `kill`, `wait`, `roll-back`, `refuse`, ….
    pub verb: String,
    /// Why, and what to do.
    pub reason: Reason,
}
