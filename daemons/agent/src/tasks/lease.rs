//! Leases of single-copy tasks, handed on to their supervisors, which enforce them (G9).

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use kogge_host::clock::since_boot;
use kogge_model::id::TaskId;
use kogge_model::task::TaskSpec;
use kogge_shim::config::LeaseTerms;

use super::Machine;
use super::error::StartError;
use crate::sentence;

impl Machine {
    /// The task may live `until` so long after the machine's start.
    pub(super) fn note_lease(&self, task: &TaskId, until: Duration) {
        self.leases.lock().unwrap_or_else(PoisonError::into_inner).insert(task.clone(), until);
    }

    pub(super) fn forget_lease(&self, task: &TaskId) {
        self.leases.lock().unwrap_or_else(PoisonError::into_inner).remove(task);
    }

    /// Tells the supervisor, if there is one already. One that is just being started was given the time that was known
    /// then; the next renewal reaches it.
    pub(super) async fn renew(self: Arc<Self>, task: TaskId, until: Duration) {
        let shim = self.shim(&task);
        if !shim.dir().join("shim.json").exists() {
            return;
        }
        if let Err(error) = shim.renew(millis(until)).await {
            tracing::debug!(%task, error = sentence::of(&error), "its lease could not be handed on");
        }
    }

    /// What the supervisor of `spec`'s task is told; none for an ordinary one.
    pub(super) fn lease_terms(&self, spec: &TaskSpec) -> Result<Option<LeaseTerms>, StartError> {
        let Some(lease) = spec.template.lease() else { return Ok(None) };
        let known = self.leases.lock().unwrap_or_else(PoisonError::into_inner).get(&spec.task).copied();
        let notice = lease.notice(spec.template.kill_grace());
        let until = known.filter(|until| until.saturating_sub(notice) > since_boot());
        let until = until.ok_or(StartError::LeaseOver)?;
        let (until_ms, notice_ms, dying_ms) = (millis(until), millis(notice), millis(lease.dying()));
        Ok(Some(LeaseTerms { until_ms, notice_ms, dying_ms }))
    }
}

/// Rounded down: a task lives rather shorter than longer.
fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
