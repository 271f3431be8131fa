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

/// A task that was given up has been replaced, and gets no requests any more: what is too many is gone 10 s after its
/// agent's return (G10), which this leaves time for.
const SURPLUS_GRACE_MS: u64 = 7_000;

impl Kernel {
    /// Nothing has to be said again about `task`.
    pub(crate) fn settle_order(&mut self, id: &TaskId) {
        if let Some(task) = self.tasks.get_mut(id) {
            task.settle_order(&mut self.timers);
        }
    }

    /// Sends what `task`'s agent should do now, if anything, and waits for the answer.
    pub(crate) fn send_order(&mut self, id: &TaskId, effects: &mut Effects) {
        self.send_order_for(id, self.config.resend_first, effects);
    }

    pub(crate) fn repeat_order(&mut self, id: &TaskId, effects: &mut Effects) {
        let Some(waited) = self.tasks.get(id).and_then(|task| task.order) else { return };
        // It may have gone out late, and the answer may wait to be heard.
        let due = waited.decided.plus(self.delay_of(waited.decided) + waited.wait + self.unheard);
        if due > self.now() {
            let task = self.tasks.get_mut(id).expect("it was just seen");
            return task.await_answer_until(due, &mut self.timers);
        }
        let wait = (waited.wait * 2).min(self.config.resend_max);
        self.send_order_for(id, wait, effects);
    }

    /// The same, and waits for `wait`.
    fn send_order_for(&mut self, id: &TaskId, wait: Duration, effects: &mut Effects) {
        let now = self.now();
        let Some(task) = self.tasks.get_mut(id) else { return };
        let agent = &task.record.status.agent;
        let is_registered = self.agents.get(agent).is_some_and(|agent| agent.phase.is_registered());
        match order_of(&task.record) {
            Some(message) if is_registered => {
                effects.push(Effect::to_agent(agent, message));
                task.await_answer(now, wait, &mut self.timers);
            }
            // If it is not registered it will be told when it is.
            Some(_) | None => task.settle_order(&mut self.timers),
        }
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
            let stray = self.agents.values().find_map(|agent| agent.strays.get(id));
            let status = self.unknown_task(id, stray);
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
        task.record_mut().kill = Some(KillOrder { grace_ms, reason });
        effects.push(task.save());
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
pub(crate) fn order_of(record: &TaskRecord) -> Option<ToAgent> {
    let run = record.status.run;
    let kill =
        |grace_ms, reason| Some(ToAgent::Kill { task: record.spec.task.clone(), run, grace_ms, reason });
    match (&record.status.state, &record.kill) {
        _ if record.is_given_up() => {
            let own = record.kill.as_ref().and_then(|order| order.grace_ms);
            let grace_ms = own.unwrap_or(record.spec.template.kill_grace_ms).min(SURPLUS_GRACE_MS);
            kill(Some(grace_ms), Reason::new(format!("it was given up: {}", record.status.reason)))
        }
        (TaskState::Ended(_) | TaskState::Stopping, _) => None,
        (_, Some(order)) => kill(order.grace_ms, order.reason.clone()),
        (TaskState::Staging, None) if !record.is_confirmed() => {
            Some(ToAgent::Launch { run, spec: record.spec.clone() })
        }
        (TaskState::Staging | TaskState::Starting | TaskState::Running(_), None) => None,
    }
}
