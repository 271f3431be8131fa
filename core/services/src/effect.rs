//! Everything that [`crate::Services`] can ask for. Order is a contract: persist, send, acknowledge, tell.

use std::sync::Arc;

use kogge_model::decision::Decision;
use kogge_model::id::{DeploymentId, RevisionId, TaskId};
use kogge_model::name::{InstanceId, ServiceId};
use kogge_model::reason::Reason;
use kogge_model::scheduler::Call;
use kogge_model::service::ServiceSpec;

use crate::state::{Instance, ServiceRecord};

/// What inputs led to, in order. What one `handle` appends is sorted by [`Effect::stage`]; a driver that gathers the
/// effects of several calls commits everything of [`Stage::Persist`] in one transaction before it delivers the rest.
pub type Effects = Vec<Effect>;

/// One thing to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Keep this in place of the service's record.
    SaveService(Box<ServiceRecord>),
    /// Drop the service's record: it was removed, and nothing of it is left.
    ForgetService(ServiceId),
    /// Keep this in place of the instance's record.
    SaveInstance(Arc<Instance>),
    /// Drop the instance's record.
    ForgetInstance(InstanceId),
    /// Say this to the kernel.
    Call(Call),
    /// Write a new revision in which the service is `to`, unless it is no longer what it was in `undone`. It comes
    /// back as [`crate::Input::Desired`]; until then this comes again.
    RollBack {
        /// Which.
        service: ServiceId,
        /// The last version that was good, in today's number of instances.
        to: Arc<ServiceSpec>,
        /// The revision whose change is taken back.
        undone: RevisionId,
        /// Why, for the revision's message.
        reason: Reason,
    },
    /// Keep this to be read afterwards (G23).
    Explain(Decision),
    /// Pass this on to whoever watches.
    Announce(Announcement),
}

/// Which part of the contract an effect belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// Must be durable before anything else is done.
    Persist,
    /// Words to the kernel and to the tree.
    Send,
    /// Tells that an update is safe: must come after it was persisted.
    Acknowledge,
    /// For people; may be lost.
    Tell,
}

/// Something that watchers want to know: the stream of events, the catalog, a push that waits for its outcome.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Announcement {
    /// Whose.
    pub service: ServiceId,
    /// What changed.
    pub subject: Subject,
    /// Its newest state in a word, as [`crate::Phase::word`] or [`crate::DeploymentState::word`] tells it.
    pub state: &'static str,
    /// What happened, a sentence.
    pub text: String,
}

/// What an announcement is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    /// A deployment began, moved on or ended.
    Deployment(DeploymentId),
    /// An instance came, went, or changed its state or health.
    Instance {
        /// Its number.
        number: u32,
        /// Its task, once it has one.
        task: Option<TaskId>,
    },
}

impl Effect {
    /// When it is its turn.
    #[must_use]
    pub const fn stage(&self) -> Stage {
        match self {
            Self::SaveService(_)
            | Self::ForgetService(_)
            | Self::SaveInstance(_)
            | Self::ForgetInstance(_) => Stage::Persist,
            Self::Call(Call::Acknowledge { .. }) => Stage::Acknowledge,
            Self::Call(_) | Self::RollBack { .. } => Stage::Send,
            Self::Explain(_) | Self::Announce(_) => Stage::Tell,
        }
    }
}
