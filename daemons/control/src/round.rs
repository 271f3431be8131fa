//! One round of the reactor: what was decided, in the order it must take effect.

use kogge_model::decision::Decision;
use kogge_model::id::AgentId;
use kogge_model::link::ToAgent;
use kogge_model::name::ServiceId;
use kogge_model::time::Timestamp;
use kogge_model::view::{DecisionView, EventKind, EventView};
use kogge_services::{Announcement, Subject};

use crate::batch::Batch;

/// Gathers the effects of everything handled at once: first all of `batch` is made durable, then `outbox` and
/// `news` go out. Nobody is told of what could still be lost.
#[derive(Debug)]
pub(crate) struct Round {
    /// The one time of this round.
    pub(crate) now: Timestamp,
    /// To be persisted.
    pub(crate) batch: Batch,
    /// To be sent once it is; acknowledgements stand behind the orders of the same round.
    pub(crate) outbox: Vec<(AgentId, ToAgent)>,
    /// To be announced once it is; their sequence numbers are set then.
    pub(crate) news: Vec<EventView>,
    /// The server found a reason to stop leading.
    pub(crate) abdication: Option<kogge_model::reason::Reason>,
    /// The server hands the lead over, and lets others through first for so long.
    pub(crate) courtesy: Option<std::time::Duration>,
}

impl Round {
    /// A round that begins now.
    pub(crate) fn begin(now: Timestamp) -> Self {
        Self {
            now,
            batch: Batch::default(),
            outbox: Vec::new(),
            news: Vec::new(),
            abdication: None,
            courtesy: None,
        }
    }

    /// Whether nothing at all was decided.
    pub(crate) fn is_empty(&self) -> bool {
        self.batch.is_empty() && self.outbox.is_empty() && self.news.is_empty()
    }

    /// Announces something about a service, or about the whole cloud.
    pub(crate) fn announce(&mut self, kind: EventKind, service: Option<&ServiceId>, text: impl Into<String>) {
        self.news.push(EventView {
            sequence: 0,
            at: self.now.into(),
            kind,
            service: service.map(ToString::to_string),
            instance: None,
            task: None,
            state: None,
            text: text.into(),
        });
    }

    /// Announces what `services` tells.
    pub(crate) fn announce_service(&mut self, announcement: Announcement) {
        let service = announcement.service.to_string();
        let (kind, instance, task) = match announcement.subject {
            Subject::Deployment(_) => (EventKind::Deployment, None, None),
            Subject::Instance { number, task } => {
                (EventKind::Task, Some(format!("{service}.{number}")), task)
            }
        };
        self.news.push(EventView {
            sequence: 0,
            at: self.now.into(),
            kind,
            service: Some(service),
            instance,
            task: task.map(|task| task.to_string()),
            state: Some(announcement.state.to_owned()),
            text: announcement.text,
        });
    }

    /// Announces a decision.
    pub(crate) fn announce_decision(&mut self, decision: &Decision) {
        let view = DecisionView::from(decision);
        self.news.push(EventView {
            sequence: 0,
            at: view.at,
            kind: EventKind::Decision,
            service: view.service,
            instance: view.instance,
            task: view.task,
            state: Some(view.verb),
            text: view.reason,
        });
    }
}
