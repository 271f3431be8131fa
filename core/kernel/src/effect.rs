//! Everything the kernel can ask for. Order is a contract: first persist, then send, then acknowledge.

use std::sync::Arc;

use kogge_model::decision::Decision;
use kogge_model::id::{AgentId, FrameworkId, RunId, TaskId};
use kogge_model::link::ToAgent;
use kogge_model::reason::Reason;
use kogge_model::scheduler::Event;

use crate::record::{AgentRecord, FrameworkRecord, TaskRecord};

/// What inputs led to, in order. What one `handle` appends is sorted by [`Effect::stage`]; a driver that gathers the
/// effects of several calls commits everything of [`Stage::Persist`] in one transaction before it delivers the rest.
pub type Effects = Vec<Effect>;

/// One thing to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Keep this in place of the task's record.
    Save(Arc<TaskRecord>),
    /// Drop the task's record.
    Forget(TaskId),
    /// Keep this in place of the agent's record.
    SaveAgent(Box<AgentRecord>),
    /// Drop the agent's record.
    ForgetAgent(AgentId),
    /// Keep this in place of the framework's record.
    SaveFramework(Box<FrameworkRecord>),
    /// Drop the framework's record.
    ForgetFramework(FrameworkId),
    /// No run up to this one is ever minted again, though the records of its tasks are forgotten.
    SaveHighestRun(RunId),
    /// Say this to a framework.
    ToFramework {
        /// To whom.
        framework: FrameworkId,
        /// What.
        event: Event,
    },
    /// Say this to an agent. Whether it arrives is not known: what matters is said again until answered.
    ToAgent {
        /// To whom.
        agent: AgentId,
        /// What.
        message: ToAgent,
    },
    /// Stop leading: somebody newer leads, or this state is older than what its agents have obeyed (G4).
    StepDown(Reason),
    /// Keep this to be read afterwards (G23).
    Explain(Decision),
}

/// Which part of the contract an effect belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// Must be durable before anything else is done.
    Persist,
    /// Words to frameworks and orders to agents.
    Send,
    /// Tells an agent that its update is safe: must come after the update was persisted and passed on.
    Acknowledge,
    /// For people; may be lost.
    Tell,
}

impl Effect {
    /// When it is its turn.
    #[must_use]
    pub const fn stage(&self) -> Stage {
        match self {
            Self::Save(_)
            | Self::Forget(_)
            | Self::SaveAgent(_)
            | Self::ForgetAgent(_)
            | Self::SaveFramework(_)
            | Self::ForgetFramework(_)
            | Self::SaveHighestRun(_) => Stage::Persist,
            Self::ToAgent { message: ToAgent::Acknowledge { .. }, .. } => Stage::Acknowledge,
            Self::ToFramework { .. } | Self::ToAgent { .. } | Self::StepDown(_) => Stage::Send,
            Self::Explain(_) => Stage::Tell,
        }
    }

    pub(crate) fn to_agent(agent: &AgentId, message: ToAgent) -> Self {
        Self::ToAgent { agent: agent.clone(), message }
    }

    pub(crate) fn to_framework(framework: &FrameworkId, event: Event) -> Self {
        Self::ToFramework { framework: framework.clone(), event }
    }
}
