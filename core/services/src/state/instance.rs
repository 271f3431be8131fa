//! One copy of a service over all its tasks: what it runs, how often it came back, and where it is in its life.

use std::sync::Arc;
use std::time::Duration;

use kogge_model::attribute::Attributes;
use kogge_model::digest::Digest;
use kogge_model::health::Health;
use kogge_model::id::{AgentId, RunId, TaskId};
use kogge_model::name::InstanceId;
use kogge_model::reason::Reason;
use kogge_model::task::{PortBinding, Running, TaskState};
use kogge_model::template::TaskTemplate;
use kogge_model::time::Timestamp;
use serde::{Deserialize, Serialize};

use super::moving::Moving;

/// Ends that are remembered, the newest first.
const PAST_EXITS: usize = 5;

/// An instance. It keeps its number while its tasks come and go; this is also its record in the store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Instance {
    /// Which copy of which service.
    pub id: InstanceId,
    /// The digest of what it runs.
    pub version: Digest,
    /// What it runs.
    #[serde(serialize_with = "kogge_model::sparse::serialize")]
    pub template: Arc<TaskTemplate>,
    /// How often it was started again.
    pub restarts: u32,
    /// Crashes in a row, which lengthen its back-off.
    pub crashes: u32,
    /// Its task was found running without being on record. Nobody knows which ports it got.
    #[serde(default)]
    pub is_adopted: bool,
    /// Its last ends, the newest first.
    pub past: Vec<PastExit>,
    /// Where it is in its life.
    pub phase: Phase,
}

/// How one task of an instance ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PastExit {
    /// Which.
    pub task: TaskId,
    /// When it was heard of.
    pub at: Timestamp,
    /// How and why.
    pub reason: Reason,
}

/// Where an instance is in its life.
///
/// ```text
///         ┌──── ended by itself, lost, or was killed to be started again ────┐
///         ▼                                                                  │
///  new ─▶ Waiting ──── fits an offer ────▶ Live ── unhealthy, too slow ──▶ Killing ──▶ gone
///            │                              │ surplus or outdated            ▲
///            │ surplus or outdated          ├── had requests ──▶ Draining ───┤ drained, or time is over
///            ▼                              └── had none ────────────────────┘
///          gone
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "phase", rename_all = "snake_case")]
pub enum Phase {
    /// It has no task: its back-off is not over, or no offer fits.
    Waiting(Waiting),
    /// It has a task, which is on its way up or runs.
    Live(Attempt),
    /// It finishes the requests it has and gets no new ones.
    Draining {
        /// Its task.
        attempt: Attempt,
        /// It is killed then at the latest.
        until: Timestamp,
        /// Why it has to go.
        reason: Reason,
    },
    /// Its task was told to end.
    Killing {
        /// Its task.
        attempt: Attempt,
        /// When the order was last given.
        ordered_at: Timestamp,
        /// What follows.
        after: AfterKill,
        /// Why.
        reason: Reason,
    },
}

/// An instance without a task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Waiting {
    /// Since when.
    pub since: Timestamp,
    /// Its back-off is over then.
    pub not_before: Timestamp,
    /// Whether offers were asked for on its behalf.
    #[serde(skip)]
    pub is_ready: bool,
    /// What the last offers lacked, if there were some and none fitted.
    #[serde(skip)]
    pub shortfall: Option<Reason>,
}

/// What follows once a killed task has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AfterKill {
    /// The instance is no longer needed.
    Gone,
    /// It counts as a crash; the instance is started again after its back-off.
    Restart,
}

/// One task of an instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    /// The task.
    pub task: TaskId,
    /// Where.
    pub agent: AgentId,
    /// What its agent says of itself, for `unique:` and `spread:`.
    pub attributes: Arc<Attributes>,
    /// Which launch of the cluster; known from the first update on.
    pub run: Option<RunId>,
    /// When its launch was decided.
    pub launched_at: Timestamp,
    /// The host ports it got, in the order of the template's ports.
    pub ports: Vec<PortBinding>,
    /// What was last heard of it.
    pub state: TaskState,
    /// Why it is in that state.
    pub reason: Reason,
    /// The newest update that was taken to heart.
    pub sequence: u64,
    /// Since when it runs, by the clock that is given to us.
    pub running_since: Option<Timestamp>,
    /// There is no check to ask, and it has not run for long enough to count as healthy.
    #[serde(default)]
    pub is_on_trial: bool,
    /// Since when it is healthy without a break.
    pub healthy_since: Option<Timestamp>,
    /// Whether it was ever healthy, so that it may have requests.
    pub was_healthy: bool,
    /// Why it shall not stay where it is, if so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub moving: Option<Moving>,
}

impl Instance {
    /// Its number within the service.
    #[must_use]
    pub const fn number(&self) -> u32 {
        self.id.number
    }

    /// Its task, if it has one.
    #[must_use]
    pub const fn attempt(&self) -> Option<&Attempt> {
        match &self.phase {
            Phase::Waiting(_) => None,
            Phase::Live(attempt) | Phase::Draining { attempt, .. } | Phase::Killing { attempt, .. } => {
                Some(attempt)
            }
        }
    }

    /// The same, to be changed.
    #[must_use]
    pub const fn attempt_mut(&mut self) -> Option<&mut Attempt> {
        match &mut self.phase {
            Phase::Waiting(_) => None,
            Phase::Live(attempt) | Phase::Draining { attempt, .. } | Phase::Killing { attempt, .. } => {
                Some(attempt)
            }
        }
    }

    /// Its process, while it runs.
    #[must_use]
    pub fn running(&self) -> Option<&Running> {
        self.attempt().and_then(Attempt::running)
    }

    /// Whether it counts as capacity: it runs, is healthy, and is not on its way out.
    #[must_use]
    pub fn is_healthy(&self) -> bool {
        matches!(&self.phase, Phase::Live(attempt) if attempt.is_healthy())
    }

    /// Why it is to be replaced by one elsewhere, unless it is on its way out already.
    #[must_use]
    pub const fn moving(&self) -> Option<&Moving> {
        match &self.phase {
            Phase::Live(attempt) => attempt.moving.as_ref(),
            Phase::Waiting(_) | Phase::Draining { .. } | Phase::Killing { .. } => None,
        }
    }

    /// Whether it is on its way out for good.
    #[must_use]
    pub const fn is_leaving(&self) -> bool {
        match self.phase {
            Phase::Draining { .. } | Phase::Killing { after: AfterKill::Gone, .. } => true,
            Phase::Killing { after: AfterKill::Restart, .. } | Phase::Waiting(_) | Phase::Live(_) => false,
        }
    }

    /// Moves on in its life.
    ///
    /// # Panics
    /// When its life does not go that way.
    pub(crate) fn enter(&mut self, next: Phase) {
        let (from, to) = (self.phase.word(), next.word());
        assert!(self.phase.may_become(&next), "{} went from {from} to {to}", self.id);
        self.phase = next;
    }

    /// Notes how a task of it ended.
    pub(crate) fn remember(&mut self, exit: PastExit) {
        self.past.insert(0, exit);
        self.past.truncate(PAST_EXITS);
    }
}

impl Phase {
    /// Whether `next` may follow.
    #[must_use]
    pub const fn may_become(&self, next: &Self) -> bool {
        match self {
            Self::Waiting(_) => matches!(next, Self::Waiting(_) | Self::Live(_)),
            Self::Live(_) => true,
            Self::Draining { .. } => matches!(next, Self::Draining { .. } | Self::Killing { .. }),
            Self::Killing { after: AfterKill::Gone, .. } => {
                matches!(next, Self::Killing { after: AfterKill::Gone, .. })
            }
            Self::Killing { after: AfterKill::Restart, .. } => {
                matches!(next, Self::Killing { .. } | Self::Waiting(_))
            }
        }
    }

    /// Its word for people and machines.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Waiting(_) => "waiting",
            Self::Live(attempt) => match &attempt.state {
                TaskState::Running(_) if attempt.is_on_trial => "running",
                TaskState::Running(running) => match running.health {
                    Health::Starting => "running",
                    Health::Healthy => "healthy",
                    Health::Unhealthy { .. } => "unhealthy",
                },
                state => state.word(),
            },
            Self::Draining { .. } => "draining",
            Self::Killing { .. } => "stopping",
        }
    }
}

impl Waiting {
    /// A wait that begins now and lasts until `not_before` at least.
    #[must_use]
    pub const fn until(now: Timestamp, not_before: Timestamp) -> Self {
        Self { since: now, not_before, is_ready: false, shortfall: None }
    }
}

impl Attempt {
    /// Its process, while it runs.
    #[must_use]
    pub const fn running(&self) -> Option<&Running> {
        match &self.state {
            TaskState::Running(running) => Some(running),
            TaskState::Staging | TaskState::Starting | TaskState::Stopping | TaskState::Ended(_) => None,
        }
    }

    /// For how long it has been healthy without a break.
    #[must_use]
    pub fn healthy_for(&self, now: Timestamp) -> Duration {
        self.healthy_since.map_or(Duration::ZERO, |since| now.saturating_since(since))
    }

    /// Whether it runs and its checks succeed, or there is none and it has lasted.
    #[must_use]
    pub fn is_healthy(&self) -> bool {
        !self.is_on_trial && self.running().is_some_and(|running| running.health.is_healthy())
    }
}
