//! A task's updates on their way: agent → kernel → framework → acknowledgement → kernel → agent.

use std::collections::BTreeMap;
use std::sync::Arc;

use kogge_model::id::{AgentId, FrameworkId, RunId, TaskId};
use kogge_model::link::ToAgent;
use kogge_model::scheduler::{Event, KnownUpdate};
use kogge_model::task::{Ended, Outcome, TaskState, TaskStatus};

use crate::agent::{Agent, Stray};
use crate::effect::{Effect, Effects};
use crate::state::Kernel;

impl Kernel {
    /// An agent told of a task. Every repeat is answered as the first was.
    pub(crate) fn take_status(&mut self, status: TaskStatus, effects: &mut Effects) {
        let is_stray = self
            .agents
            .get_mut(&status.agent)
            .is_some_and(|agent| agent.stray(&status.task, status.run).is_some());
        let Some(task) = self.tasks.get_mut(&status.task).filter(|_| !is_stray) else {
            return self.take_stray_status(status, effects);
        };
        let known = &task.record.status;
        if known.agent != status.agent || status.run < known.run {
            // An echo of another launch: nobody waits for it.
            return effects.push(acknowledgement(&status));
        }
        if known.run != status.run {
            return;
        }
        task.missing_since = None;
        if task.record.is_given_up() {
            return self.take_word_of_given_up(&status, effects);
        }
        if status.sequence <= known.sequence {
            return self.answer_repeat(&status, effects);
        }
        if known.state.is_terminal() {
            // Nothing follows an end; its own update still has to be acknowledged.
            return effects.push(acknowledgement(&status));
        }
        if !known.state.may_become(&status.state) {
            // It cannot be undone that a newer state is known; the agent must not say it for ever.
            task.record_mut().status.sequence = status.sequence;
            effects.push(task.save());
            task.acknowledged = task.acknowledged.max(status.sequence);
            return effects.push(acknowledgement(&status));
        }
        self.advance(status, effects);
    }

    fn advance(&mut self, status: TaskStatus, effects: &mut Effects) {
        let id = status.task.clone();
        let task = self.tasks.get_mut(&id).expect("only known tasks advance");
        task.record_mut().status = status.clone();
        effects.push(task.save());
        let framework = task.record.framework.clone();
        let is_killed = task.record.kill.is_some();
        let is_over = !task.record.is_live();
        if is_over {
            self.release(&id);
        }
        if is_over || !is_killed || status.state == TaskState::Stopping {
            self.settle_order(&id);
        }
        self.pass_on(&framework, status, effects);
    }

    /// Tells the framework; one that was torn down has nobody left to listen, so the kernel answers in its place.
    fn pass_on(&mut self, framework: &FrameworkId, status: TaskStatus, effects: &mut Effects) {
        match self.frameworks.get(framework) {
            Some(known) if known.is_ending => {
                self.take_acknowledgement(&status.task, status.sequence, effects);
            }
            Some(known) if known.is_connected => {
                effects.push(Effect::to_framework(framework, Event::Update(status)));
            }
            Some(_) | None => {}
        }
    }

    fn answer_repeat(&mut self, status: &TaskStatus, effects: &mut Effects) {
        let task = self.tasks.get(&status.task).expect("only updates of known tasks are repeats");
        if task.acknowledged >= status.sequence || status.sequence < task.record.status.sequence {
            return effects.push(acknowledgement(status));
        }
        let (framework, newest) = (task.record.framework.clone(), task.record.status.clone());
        self.pass_on(&framework, newest, effects);
    }

    /// The kernel told the framework that the task is lost, and that stands; what is left of it must end.
    fn take_word_of_given_up(&mut self, status: &TaskStatus, effects: &mut Effects) {
        effects.push(acknowledgement(status));
        if status.state.is_terminal() {
            self.forget(&status.task, effects);
        } else if status.state == TaskState::Stopping {
            self.settle_order(&status.task);
        } else if self.tasks.get(&status.task).is_some_and(|task| task.order.is_none()) {
            self.send_order(&status.task, effects);
        }
    }

    /// A framework has taken an update to heart.
    pub(crate) fn acknowledge(
        &mut self,
        framework: &FrameworkId,
        id: &TaskId,
        sequence: u64,
        effects: &mut Effects,
    ) {
        if self.tasks.get(id).is_some_and(|task| task.record.framework == *framework) {
            self.take_acknowledgement(id, sequence, effects);
        }
    }

    pub(crate) fn take_acknowledgement(&mut self, id: &TaskId, sequence: u64, effects: &mut Effects) {
        let Some(task) = self.tasks.get_mut(id) else { return };
        if sequence == 0 || sequence > task.record.status.sequence {
            return;
        }
        task.acknowledged = task.acknowledged.max(sequence);
        let status = &task.record.status;
        effects.extend(self.agents.get(&status.agent).and_then(|agent| settled(agent, status, sequence)));
        if task.acknowledged == status.sequence && !task.record.is_live() {
            self.forget(id, effects);
        }
    }

    /// The task holds nothing any more, neither of its agent nor of its framework's share.
    fn release(&mut self, id: &TaskId) {
        let Some(record) = self.tasks.get(id).map(|task| &task.record) else { return };
        if let Some(agent) = self.agents.get_mut(&record.status.agent) {
            agent.ledger.release(&record.spec.resources);
            self.to_offer.insert(agent.id().clone());
        }
        if let Some(framework) = self.frameworks.get_mut(&record.framework) {
            framework.allocated.sub(&record.spec.resources);
        }
    }

    /// Drops a task that is over and settled.
    pub(crate) fn forget(&mut self, id: &TaskId, effects: &mut Effects) {
        self.settle_order(id);
        let Some(task) = self.tasks.remove(id) else { return };
        let record = task.record;
        self.away.forget(&record);
        if let Some(agent) = self.agents.get_mut(&record.status.agent) {
            agent.tasks.remove(id);
            if record.is_given_up() {
                agent.ledger.release(&record.spec.resources);
                self.to_offer.insert(agent.id().clone());
            }
        }
        if record.status.run > self.saved_run {
            // Before the record goes, so that no crash in between lets the run return.
            self.saved_run = self.newest_run;
            effects.push(Effect::SaveHighestRun(self.saved_run));
        }
        effects.push(Effect::Forget(id.clone()));
        if let Some(framework) = self.frameworks.get_mut(&record.framework) {
            framework.tasks.remove(&(record.status.run, id.clone()));
        }
        self.leave_if_over(&record.framework, effects);
    }

    /// Gives a live task up: its framework is told that it is lost. Its resources stay held until its agent, should
    /// it return, says that the task is over.
    pub(crate) fn give_up(&mut self, id: &TaskId, why: kogge_model::reason::Reason, effects: &mut Effects) {
        self.settle_order(id);
        let (at, Some(task)) = (self.clock.wall(), self.tasks.get_mut(id)) else { return };
        let ended = Ended { at, outcome: Outcome::Lost, exit: None };
        task.missing_since = None;
        let status = &mut task.record_mut().status;
        status.sequence = 0;
        status.at = at;
        status.state = TaskState::Ended(ended);
        status.reason = why;
        let record = Arc::clone(&task.record);
        self.away.note(&record);
        if let Some(framework) = self.frameworks.get_mut(&record.framework) {
            framework.allocated.sub(&record.spec.resources);
            framework.tasks.remove(&(record.status.run, id.clone()));
        }
        self.pass_on(&record.framework, record.status.clone(), effects);
        effects.push(crate::explain::about(at, &record.spec, "lost", record.status.reason.clone()));
        effects.push(Effect::Save(Arc::clone(&record)));
        self.leave_if_over(&record.framework, effects);
    }

    /// What is said of a task without a record: what its agent says, or that it is over, or never was.
    pub(crate) fn unknown_task(&self, id: &TaskId, stray: Option<&Stray>) -> TaskStatus {
        stray.map(|stray| TaskStatus { sequence: 0, ..stray.status.clone() }).unwrap_or_else(|| {
            let at = self.clock.wall();
            TaskStatus {
                task: id.clone(),
                run: RunId::default(),
                agent: AgentId::new(""),
                sequence: 0,
                at,
                state: TaskState::Ended(Ended { at, outcome: Outcome::Lost, exit: None }),
                reason: "the kernel knows no such task".into(),
            }
        })
    }

    /// Says the state of all tasks again of which the framework does not know the newest, and of those it names that are
    /// given up, or forgotten. In the order of their ids, in which whoever listens looks them up: of a hundred thousand
    /// each look elsewhere takes long.
    pub(crate) fn reconcile_all(
        &mut self,
        framework: &FrameworkId,
        known: &[KnownUpdate],
        effects: &mut Effects,
    ) {
        let known: BTreeMap<&TaskId, &KnownUpdate> = known.iter().map(|known| (&known.task, known)).collect();
        let (mut found, mut over) = (0, Vec::new());
        for task in self.tasks.values_mut().filter(|task| task.is_told_to(framework)) {
            let status = &task.record.status;
            let told = known.get(&status.task);
            found += usize::from(told.is_some());
            if !told.is_some_and(|known| known.is_newest(status)) {
                effects.push(Effect::to_framework(framework, Event::Update(status.clone())));
            } else if task.record.is_live() {
                // As below, but there may be a hundred thousand of them.
                task.acknowledged = task.acknowledged.max(status.sequence);
                effects.extend(
                    self.agents.get(&status.agent).and_then(|agent| settled(agent, status, status.sequence)),
                );
            } else {
                over.push((status.task.clone(), status.sequence));
            }
        }
        if found < known.len() {
            let is_told = |id: &TaskId| self.tasks.get(id).is_some_and(|task| task.is_told_to(framework));
            let others: Vec<TaskId> = known.into_keys().filter(|id| !is_told(id)).cloned().collect();
            self.reconcile(framework, &others, effects);
        }
        for (task, sequence) in over {
            self.take_acknowledgement(&task, sequence, effects);
        }
    }

    /// What agents have without a record, by task.
    fn strays(&self) -> BTreeMap<&TaskId, &Stray> {
        self.agents.values().flat_map(|agent| &agent.strays).collect()
    }

    /// Says the state of these tasks again, or of all.
    pub(crate) fn reconcile(&mut self, framework: &FrameworkId, ids: &[TaskId], effects: &mut Effects) {
        if ids.is_empty() {
            return self.reconcile_all(framework, &[], effects);
        }
        let mut tell = |status| effects.push(Effect::to_framework(framework, Event::Update(status)));
        let mut strays: Option<BTreeMap<&TaskId, &Stray>> = None;
        for id in ids {
            match self.tasks.get(id).filter(|task| task.record.framework == *framework) {
                Some(task) => tell(task.record.status.clone()),
                None => {
                    // Looked up once for all of them: there may be tens of thousands, and as many agents.
                    let strays = strays.get_or_insert_with(|| self.strays());
                    tell(self.unknown_task(id, strays.get(id).copied()));
                }
            }
        }
    }
}

/// Tells an agent that its update is safe. Whoever is not there says it again when it is back.
fn settled(agent: &Agent, status: &TaskStatus, sequence: u64) -> Option<Effect> {
    let message = ToAgent::Acknowledge { task: status.task.clone(), run: status.run, sequence };
    agent.phase.is_registered().then(|| Effect::to_agent(&status.agent, message))
}

pub(crate) fn acknowledgement(status: &TaskStatus) -> Effect {
    let (task, run, sequence) = (status.task.clone(), status.run, status.sequence);
    Effect::to_agent(&status.agent, ToAgent::Acknowledge { task, run, sequence })
}
