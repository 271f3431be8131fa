//! Single-copy tasks live on the cluster's word (G9): it is asked for in time, and passed on to whoever enforces it.
//!
//! A grant counts from when it was asked for by this very process, so one that comes late gives less time, and one that
//! an earlier process asked for gives none.

use kogge_model::id::{RunId, TaskId};
use kogge_model::lease::Lease;
use kogge_model::link::ToControl;
use kogge_model::time::Timestamp;
use std::time::Duration;

use crate::effect::{Effect, Effects};
use crate::node::Node;
use crate::state::{Phase, Task};

/// Between two asks while there is no lease to live on.
const URGENT: Duration = Duration::from_millis(500);

/// Asks that may still be answered.
const OPEN_ASKS: usize = 8;

/// How a task stands with its lease.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tenure {
    /// It may live until then; none until something was granted to this process.
    pub(crate) until: Option<Timestamp>,
    asks: Vec<Ask>,
    ask_due: Timestamp,
}

/// A question that was not answered yet.
#[derive(Debug, Clone, Copy)]
struct Ask {
    ticket: u64,
    at: Timestamp,
}

impl Task {
    /// The lease it lives on; none for an ordinary task and for one that is over.
    pub(crate) fn lease(&self) -> Option<Lease> {
        match self.phase {
            Phase::Vanishing { .. } | Phase::Ended { .. } => None,
            Phase::Queued
            | Phase::Starting { .. }
            | Phase::Recovering
            | Phase::Running(_)
            | Phase::Stopping(_) => self.spec.as_ref()?.template.lease(),
        }
    }

    /// Whether it may be started: an ordinary one always.
    pub(crate) fn may_start(&self, now: Timestamp) -> bool {
        self.lease().is_none_or(|lease| {
            self.tenure.until.is_some_and(|until| until.saturating_since(now) >= lease.least_to_start())
        })
    }
}

impl Node {
    /// Asks for every lease that is due.
    pub(crate) fn ask_leases(&mut self, now: Timestamp, effects: &mut Effects) {
        if !self.link.is_registered() {
            return;
        }
        for task in self.tasks.values_mut() {
            let Some(lease) = task.lease().filter(|_| task.tenure.ask_due <= now) else { continue };
            let is_urgent = !task.may_start(now);
            let tenure = &mut task.tenure;
            let ticket = self.chance.tickets.draw();
            tenure.asks.push(Ask { ticket, at: now });
            if tenure.asks.len() > OPEN_ASKS {
                tenure.asks.remove(0);
            }
            let wait = lease.renewal().min(if is_urgent { URGENT } else { Duration::MAX });
            tenure.ask_due = now.plus(self.chance.sends.shorten(wait));
            effects.push(Effect::Send(ToControl::AskLease { task: task.id.clone(), run: task.run, ticket }));
        }
    }

    /// Control lets a task live on.
    pub(crate) fn lease_granted(&mut self, (id, run): (&TaskId, RunId), ticket: u64, effects: &mut Effects) {
        let Some(task) = self.tasks.get_mut(id).filter(|task| task.run == run) else { return };
        let Some(lease) = task.lease() else { return };
        let tenure = &mut task.tenure;
        let Some(ask) = tenure.asks.iter().find(|ask| ask.ticket == ticket).copied() else { return };
        tenure.asks.retain(|other| other.at > ask.at);
        let until = ask.at.plus(lease.length());
        if tenure.until.is_none_or(|known| known < until) {
            tenure.until = Some(until);
            effects.push(Effect::Lease { task: id.clone(), until });
        }
    }

    /// Asks again at once: a new leader may know nothing of the last answer.
    pub(crate) fn ask_all_leases(&mut self, now: Timestamp) {
        for task in self.tasks.values_mut() {
            task.tenure.ask_due = task.tenure.ask_due.min(now);
        }
    }

    pub(crate) fn ask_due(&self, task: &Task) -> Option<Timestamp> {
        (self.link.is_registered() && task.lease().is_some()).then_some(task.tenure.ask_due)
    }
}
