//! Orders to agents, launch and kill, are repeated until a status answers them: the link may lose either.

use std::time::Duration;

use kogge_model::id::{FrameworkId, TaskId};
use kogge_model::link::ToAgent;
use kogge_model::reason::Reason;
use kogge_model::scheduler::Event;
use kogge_model::task::TaskState;

use crate::effect::{Effect, Effects};
use crate::record::{KillOrder, TaskRecord};
use crate::state::Kernel;
use crate::task::Order;
use crate::timer::Timer;

impl Kernel {
    /// An order about `task` was just sent; it is sent again unless a status answers it.
    pub(crate) fn await_answer(&mut self, id: &TaskId) {
        let now = self.now();
        let Some(task) = self.tasks.get_mut(id) else { return };
        let wait = self.config.resend_first;
        if let Some(old) = task.order.replace(Order { due: now.plus(wait), wait }) {
            self.timers.disarm(old.due, Timer::Order(id.clone()));
        }
        self.timers.arm(now.plus(wait), Timer::Order(id.clone()));
    }

    /// Nothing has to be said again about `task`.
    pub(crate) fn settle_order(&mut self, id: &TaskId) {
        if let Some(old) = self.tasks.get_mut(id).and_then(|task| task.order.take()) {
            self.timers.disarm(old.due, Timer::Order(id.clone()));
        }
    }

    /// Sends what `task`'s agent should do now, if anything, and waits for the answer.
    pub(crate) fn send_order(&mut self, id: &TaskId, effects: &mut Effects) {
        let Some(task) = self.tasks.get(id) else { return };
        let Some(message) = order_of(&task.record) else { return self.settle_order(id) };
        if self.agents.get(&task.record.status.agent).is_some_and(|agent| agent.phase.is_registered()) {
            effects.push(Effect::to_agent(&task.record.status.agent, message));
            self.await_answer(id);
        } else {
            // It will be told when it registers.
            self.settle_order(id);
        }
    }

    pub(crate) fn repeat_order(&mut self, id: &TaskId, effects: &mut Effects) {
        let Some(waited) = self.tasks.get(id).and_then(|task| task.order) else { return };
        self.send_order(id, effects);
        let wait = (waited.wait * 2).min(self.config.resend_max);
        self.stretch(id, wait);
    }

    fn stretch(&mut self, id: &TaskId, wait: Duration) {
        let now = self.now();
        let Some(order) = self.tasks.get_mut(id).and_then(|task| task.order.as_mut()) else { return };
        self.timers.disarm(order.due, Timer::Order(id.clone()));
        *order = Order { due: now.plus(wait), wait };
        self.timers.arm(order.due, Timer::Order(id.clone()));
    }

    /// A framework wants a task to end.
    pub(crate) fn kill(
        &mut self,
        framework: &FrameworkId,
        id: &TaskId,
        grace: Option<Duration>,
        reason: Reason,
        effects: &mut Effects,
    ) {
        let grace_ms = grace.map(|grace| u64::try_from(grace.as_millis()).unwrap_or(u64::MAX));
        let Some(task) = self.tasks.get_mut(id) else {
            self.kill_stray(id, grace_ms, &reason, effects);
            let status = self.unknown_task(id);
            return effects.push(Effect::to_framework(framework, Event::Update(status)));
        };
        if task.record.framework != *framework {
            let reason = Reason::new(format!("task {id} belongs to another framework"));
            let call = "kill".to_owned();
            return effects.push(Effect::to_framework(framework, Event::Refused { call, reason }));
        }
        if !task.record.is_live() {
            let status = task.record.status.clone();
            return effects.push(Effect::to_framework(framework, Event::Update(status)));
        }
        task.record.kill = Some(KillOrder { grace_ms, reason });
        effects.push(Effect::Save(Box::new(task.record.clone())));
        self.send_order(id, effects);
    }

    /// An explicit order may end a task that the kernel has no record of; it is passed on once.
    fn kill_stray(&self, id: &TaskId, grace_ms: Option<u64>, reason: &Reason, effects: &mut Effects) {
        let holders = self.agents.values().filter(|agent| agent.phase.is_registered());
        for agent in holders {
            if let Some(stray) = agent.strays.get(id) {
                let (task, run, reason) = (id.clone(), stray.status.run, reason.clone());
                effects.push(Effect::to_agent(agent.id(), ToAgent::Kill { task, run, grace_ms, reason }));
            }
        }
    }
}

/// What an agent should be told about a task, if it has not shown yet that it is at it.
fn order_of(record: &TaskRecord) -> Option<ToAgent> {
    let run = record.status.run;
    let kill =
        |grace_ms, reason| Some(ToAgent::Kill { task: record.spec.task.clone(), run, grace_ms, reason });
    match (&record.status.state, &record.kill) {
        _ if record.is_given_up() => {
            let grace_ms = record.kill.as_ref().and_then(|order| order.grace_ms);
            kill(grace_ms, Reason::new(format!("it was given up: {}", record.status.reason)))
        }
        (TaskState::Ended(_) | TaskState::Stopping, _) => None,
        (_, Some(order)) => kill(order.grace_ms, order.reason.clone()),
        (TaskState::Staging, None) if !record.is_confirmed() => {
            Some(ToAgent::Launch { run, spec: record.spec.clone() })
        }
        (TaskState::Staging | TaskState::Starting | TaskState::Running(_), None) => None,
    }
}
