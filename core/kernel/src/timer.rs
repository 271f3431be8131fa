//! Deadlines in order. A timer that fires asks its owner whether it is still due, so moving a deadline later is free.

use std::collections::BTreeSet;

use kogge_model::id::{AgentId, FrameworkId, OfferId, RunId, TaskId};
use kogge_model::time::Timestamp;

/// Who is to be looked at.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Timer {
    /// Has the agent been silent for too long?
    Silence(AgentId),
    /// Ask the agent again which tasks it has.
    Doubt(AgentId),
    /// A refusal of the agent's resources ends.
    Refusal(AgentId),
    /// Repeat the order about this task. By its run, which costs less to put in order than its id.
    Order(RunId, TaskId),
    /// Is the single copy of this task dead for certain?
    Lease(RunId, TaskId),
    /// Has the offer been held for too long?
    Offer(OfferId),
    /// Has the framework come back in time?
    Failover(FrameworkId),
}

/// All deadlines.
#[derive(Debug, Clone, Default)]
pub(crate) struct Timers(BTreeSet<(Timestamp, Timer)>);

impl Timers {
    pub(crate) fn arm(&mut self, at: Timestamp, timer: Timer) {
        self.0.insert((at, timer));
    }

    pub(crate) fn disarm(&mut self, at: Timestamp, timer: Timer) {
        self.0.remove(&(at, timer));
    }

    pub(crate) fn first(&self) -> Option<Timestamp> {
        self.0.first().map(|(at, _)| *at)
    }

    pub(crate) fn pop_due(&mut self, now: Timestamp) -> Option<Timer> {
        if self.first()? > now { None } else { self.0.pop_first().map(|(_, timer)| timer) }
    }
}
