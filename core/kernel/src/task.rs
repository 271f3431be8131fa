//! A task as the kernel sees it.

use std::sync::Arc;
use std::time::Duration;

use kogge_model::id::{FrameworkId, TaskId};
use kogge_model::task::TaskStatus;
use kogge_model::time::Timestamp;

use crate::effect::Effect;
use crate::plan_lease::Obstacle;
use crate::record::TaskRecord;
use crate::timer::{Timer, Timers};

/// One task.
#[derive(Debug, Clone)]
pub(crate) struct Task {
    /// Shared with the effects that save it: each of these tells what was the case when it was made.
    pub(crate) record: Arc<TaskRecord>,
    /// The newest sequence its framework has acknowledged to this leader.
    pub(crate) acknowledged: u64,
    /// The order that its agent has not answered yet.
    pub(crate) order: Option<Order>,
    /// Since when its agent has not mentioned it though it should have it.
    pub(crate) missing_since: Option<Timestamp>,
    /// Of a single-copy task, by the steady clock: until then it may be alive though nobody hears of it. None: this
    /// leader launched it and has granted it nothing.
    pub(crate) leased_until: Option<Timestamp>,
    /// Whether an earlier leader had an answer to its launch: then the records know the copy that lives.
    pub(crate) is_inherited: bool,
    /// Of a single-copy task: why it got no lease when it asked last; it is told once.
    pub(crate) obstacle: Option<Obstacle>,
}

/// An unanswered order, launch or kill.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Order {
    pub(crate) decided: Timestamp,
    pub(crate) wait: Duration,
    pub(crate) due: Timestamp,
}

impl Task {
    pub(crate) fn new(record: TaskRecord) -> Self {
        Self {
            record: Arc::new(record),
            acknowledged: 0,
            order: None,
            missing_since: None,
            leased_until: None,
            is_inherited: false,
            obstacle: None,
        }
    }

    pub(crate) fn id(&self) -> &TaskId {
        &self.record.spec.task
    }

    pub(crate) fn record_mut(&mut self) -> &mut TaskRecord {
        Arc::make_mut(&mut self.record)
    }

    /// Whether this framework is told how it stands with it.
    pub(crate) fn is_told_to(&self, framework: &FrameworkId) -> bool {
        self.record.framework == *framework && !self.record.is_given_up()
    }

    pub(crate) fn save(&self) -> Effect {
        Effect::Save(Arc::clone(&self.record))
    }

    /// Whether its framework still has to acknowledge something of its agent.
    pub(crate) fn owes_acknowledgement(&self) -> bool {
        self.record.status.sequence > self.acknowledged
    }

    /// Whether a status says what its framework has acknowledged already; then it is no cause for anything.
    pub(crate) fn is_known_already(&self, status: &TaskStatus) -> bool {
        let known = &self.record.status;
        let is_same = known.agent == status.agent && known.run == status.run && !self.record.is_given_up();
        is_same && status.sequence <= known.sequence.min(self.acknowledged)
    }

    /// An order about it was just sent; it is sent again after `wait` unless a status answers it.
    pub(crate) fn await_answer(&mut self, now: Timestamp, wait: Duration, timers: &mut Timers) {
        self.settle_order(timers);
        let due = now.plus(wait);
        self.order = Some(Order { decided: now, wait, due });
        timers.arm(due, self.order_timer());
    }

    /// Its answer may come as late as `due`, and is not missed before.
    pub(crate) fn await_answer_until(&mut self, due: Timestamp, timers: &mut Timers) {
        if let Some(order) = &mut self.order {
            order.due = due;
            timers.arm(due, self.order_timer());
        }
    }

    /// Nothing has to be said again about it.
    pub(crate) fn settle_order(&mut self, timers: &mut Timers) {
        if let Some(old) = self.order.take() {
            timers.disarm(old.due, self.order_timer());
        }
    }

    fn order_timer(&self) -> Timer {
        Timer::Order(self.record.status.run, self.id().clone())
    }
}

/// The longest task id, so that it fits into file and cgroup names.
const ID_LIMIT: usize = 120;

/// Whether `task` may name files and cgroups: letters, digits, `-` and `.`, starting with a letter or digit.
pub(crate) fn is_valid_id(task: &TaskId) -> bool {
    let bytes = task.as_str().as_bytes();
    bytes.len() <= ID_LIMIT
        && bytes.first().is_some_and(u8::is_ascii_alphanumeric)
        && bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.'))
}
