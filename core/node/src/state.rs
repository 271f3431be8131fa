//! What a node holds of one task.

use std::sync::Arc;
use std::time::Duration;

use kogge_model::health::HealthCheck;
use kogge_model::id::{AgentId, RunId, TaskId};
use kogge_model::reason::Reason;
use kogge_model::task::{Outcome, Running, TaskSpec, TaskStatus};
use kogge_model::time::Timestamp;

use crate::plan_lease::Tenure;
use crate::record::{Recorded, StopOrder, TaskRecord};

/// One task: what was told about it, and what this machine is doing about it.
#[derive(Debug, Clone)]
pub(crate) struct Task {
    pub(crate) id: TaskId,
    pub(crate) run: RunId,
    /// None when the order to end it came before the order to launch it; such a task is always ended.
    pub(crate) spec: Option<Arc<TaskSpec>>,
    /// The boot of the machine in which the newest update was made.
    pub(crate) boot_id: String,
    /// The newest update: its number, time, content and reason.
    pub(crate) sequence: u64,
    pub(crate) at: Timestamp,
    pub(crate) told: Recorded,
    pub(crate) reason: Reason,
    /// Whether control has the newest update safe.
    pub(crate) is_acknowledged: bool,
    pub(crate) resend: Resend,
    pub(crate) phase: Phase,
    pub(crate) tenure: Tenure,
}

/// What the machine is doing about a task. Finer than what is told.
#[derive(Debug, Clone)]
pub(crate) enum Phase {
    /// Waits for its turn to start.
    Queued,
    /// The driver is at it; `awaits_image` while its image comes over the network, which takes nothing of the machine.
    Starting { awaits_image: bool },
    /// Restored from a record; waits to hear what is left of it.
    Recovering,
    /// The process runs.
    Running(Box<Alive>),
    /// It was told to end.
    Stopping(Stopping),
    /// Its supervisor is gone: every process of it is being killed before that is told.
    Vanishing { outcome: Outcome, reason: Reason, again_at: Timestamp },
    /// It is over; `is_collecting` once its remains are being removed.
    Ended { is_collecting: bool },
}

/// A running process and the watch over it.
#[derive(Debug, Clone)]
pub(crate) struct Alive {
    pub(crate) running: Running,
    pub(crate) watch: Option<Watch>,
}

/// The watch over one task's health.
#[derive(Debug, Clone)]
pub(crate) struct Watch {
    pub(crate) check: HealthCheck,
    /// From here the grace counts.
    pub(crate) since: Timestamp,
    pub(crate) has_succeeded: bool,
    pub(crate) failures: u32,
    /// The number of the newest probe.
    pub(crate) number: u64,
    /// The wait until the next probe while none has succeeded.
    pub(crate) start_wait: Duration,
    pub(crate) pulse: Pulse,
}

/// Whether a probe is under way; there is never a second one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pulse {
    /// The next begins then.
    Waiting { until: Timestamp },
    /// One is under way; without an answer by `deadline` the prober itself has failed.
    Probing { since: Timestamp, deadline: Timestamp },
}

/// How far the end of a task has got.
#[derive(Debug, Clone)]
pub(crate) struct Stopping {
    pub(crate) order: StopOrder,
    pub(crate) stage: StopStage,
}

/// The steps to an end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StopStage {
    /// Its start was cancelled, the answer is awaited.
    Cancelling,
    /// It was asked; SIGKILL follows at the order's time.
    Asked,
    /// It was killed; again at this time if it is still there.
    Forced { again_at: Timestamp },
}

/// When the newest update goes out again, and when it did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Resend {
    pub(crate) due: Timestamp,
    pub(crate) wait: Duration,
    /// The number of its first sending, and of its last; 0 before.
    pub(crate) first: u64,
    pub(crate) last: u64,
}

impl Task {
    /// The newest update as it is told.
    pub(crate) fn status(&self, agent: &AgentId) -> TaskStatus {
        TaskStatus {
            task: self.id.clone(),
            run: self.run,
            agent: agent.clone(),
            sequence: self.sequence,
            at: self.at,
            state: self.told.state(),
            reason: self.reason.clone(),
        }
    }

    /// The newest update as it is kept.
    pub(crate) fn record(&self) -> TaskRecord {
        TaskRecord {
            task: self.id.clone(),
            run: self.run,
            spec: self.spec.clone(),
            boot_id: self.boot_id.clone(),
            sequence: self.sequence,
            at: self.at,
            recorded: self.told.clone(),
            reason: self.reason.clone(),
            is_acknowledged: self.is_acknowledged,
        }
    }

    /// Whether its end has been told.
    pub(crate) const fn is_ended(&self) -> bool {
        matches!(self.told, Recorded::Ended(_))
    }

    /// Whether the driver has an unanswered start of it.
    pub(crate) const fn is_starting(&self) -> bool {
        matches!(
            self.phase,
            Phase::Starting { .. } | Phase::Stopping(Stopping { stage: StopStage::Cancelling, .. })
        )
    }

    /// Whether its start waits for nothing but its image.
    pub(crate) const fn awaits_image(&self) -> bool {
        matches!(self.phase, Phase::Starting { awaits_image: true })
    }

    /// What it runs. Only ended tasks may have none.
    pub(crate) fn known_spec(&self) -> &Arc<TaskSpec> {
        self.spec.as_ref().expect("a task that has not ended was launched with a spec")
    }
}
