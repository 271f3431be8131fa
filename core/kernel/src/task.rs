//! A task as the kernel sees it.

use std::time::Duration;

use kogge_model::id::TaskId;
use kogge_model::time::Timestamp;

use crate::record::TaskRecord;

/// One task.
#[derive(Debug, Clone)]
pub(crate) struct Task {
    pub(crate) record: TaskRecord,
    /// The newest sequence its framework has acknowledged to this leader.
    pub(crate) acknowledged: u64,
    /// The order that its agent has not answered yet.
    pub(crate) order: Option<Order>,
    /// Since when its agent has not mentioned it though it should have it.
    pub(crate) missing_since: Option<Timestamp>,
}

/// An unanswered order, launch or kill.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Order {
    pub(crate) due: Timestamp,
    pub(crate) wait: Duration,
}

impl Task {
    pub(crate) const fn new(record: TaskRecord) -> Self {
        Self { record, acknowledged: 0, order: None, missing_since: None }
    }

    pub(crate) fn id(&self) -> &TaskId {
        &self.record.spec.task
    }

    /// Whether its framework still has to acknowledge something of its agent.
    pub(crate) const fn owes_acknowledgement(&self) -> bool {
        self.record.status.sequence > self.acknowledged
    }
}

/// The longest task id, so that it fits into file and cgroup names.
const ID_LIMIT: usize = 120;

/// Whether `task` may name files and cgroups: letters, digits, `-` and `.`, starting with a letter or digit.
pub(crate) fn is_valid_id(task: &TaskId) -> bool {
    let bytes = task.as_str().as_bytes();
    bytes.len() <= ID_LIMIT
        && bytes.first().is_some_and(u8::is_ascii_alphanumeric)
        && bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.'))
}
