//! What one may know of a node from outside.

use std::collections::BTreeSet;
use std::sync::Arc;

use kogge_model::digest::Digest;
use kogge_model::id::{RunId, TaskId};
use kogge_model::reason::Reason;
use kogge_model::task::{TaskSpec, TaskState};

use crate::node::Node;
use crate::record::{AgentRecord, Recorded};
use crate::state::{Phase, Task};

/// One task as it is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskView {
    /// Which.
    pub task: TaskId,
    /// Which launch of it.
    pub run: RunId,
    /// What it runs; none when it was ended before it was launched.
    pub spec: Option<Arc<TaskSpec>>,
    /// Where it is.
    pub state: TaskState,
    /// Why.
    pub reason: Reason,
    /// Whether control has the newest update safe.
    pub is_acknowledged: bool,
}

impl TaskView {
    fn of(task: &Task) -> Self {
        Self {
            task: task.id.clone(),
            run: task.run,
            spec: task.spec.clone(),
            state: task.told.state(),
            reason: task.reason.clone(),
            is_acknowledged: task.is_acknowledged,
        }
    }
}

impl Node {
    /// Every task it has not forgotten, in the order of their ids.
    pub fn tasks(&self) -> impl Iterator<Item = TaskView> + '_ {
        self.tasks.values().map(TaskView::of)
    }

    /// One of them.
    #[must_use]
    pub fn task(&self, task: &TaskId) -> Option<TaskView> {
        self.tasks.get(task).map(TaskView::of)
    }

    /// Restored tasks of which nobody has yet said what is left.
    pub fn recovering(&self) -> impl Iterator<Item = &TaskId> + '_ {
        self.tasks.values().filter(|task| matches!(task.phase, Phase::Recovering)).map(|task| &task.id)
    }

    /// Whether every task is over.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.tasks.values().all(|task| matches!(task.told, Recorded::Ended(_)))
    }

    /// Whether control has accepted this agent on the present connection.
    #[must_use]
    pub const fn is_registered(&self) -> bool {
        self.link.is_registered()
    }

    /// What it remembers of the cluster.
    #[must_use]
    pub const fn agent_record(&self) -> &AgentRecord {
        &self.agent
    }

    /// Images that tasks here run or are about to: not to be collected (G21).
    #[must_use]
    pub fn pinned_images(&self) -> BTreeSet<Digest> {
        let living = self.tasks.values().filter(|task| !task.is_ended());
        living.filter_map(|task| Some(task.known_spec().template.image.as_ref()?.digest)).collect()
    }
}
