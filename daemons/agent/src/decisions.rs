//! The newest decisions of the node, to be read afterwards (G23). The oldest go.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use kogge_model::decision::Decision;
use kogge_model::id::TaskId;

const KEPT: usize = 1_000;

/// Decisions, oldest first. Clones share them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Decisions {
    kept: Arc<Mutex<VecDeque<Decision>>>,
}

impl Decisions {
    pub(crate) fn keep(&self, decision: Decision) {
        let task = decision.task.as_ref().map_or("", TaskId::as_str);
        tracing::info!(verb = %decision.verb, task, reason = %decision.reason, "decided");
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() == KEPT {
            kept.pop_front();
        }
        kept.push_back(decision);
    }

    /// Those about `task`, or all.
    pub(crate) fn about(&self, task: Option<&TaskId>) -> Vec<Decision> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let is_about = |decision: &&Decision| task.is_none() || decision.task.as_ref() == task;
        kept.iter().filter(is_about).cloned().collect()
    }
}
