//! Bringing tasks up: each launch once, in order, a bounded number at a time.

use std::net::IpAddr;
use std::sync::Arc;

use kogge_model::health::Health;
use kogge_model::id::{RunId, TaskId};
use kogge_model::reason::Reason;
use kogge_model::task::{Outcome, Running, TaskSpec};
use kogge_model::time::Timestamp;

use crate::effect::{Effect, Effects};
use crate::explain;
use crate::node::Node;
use crate::plan_lease::Tenure;
use crate::record::Recorded;
use crate::state::{Alive, Phase, Resend, StopStage, Task, Watch};

/// Updates of a task without a record are numbered beyond all that a record that was forgotten, or lost with the
/// machine's power, can have reached: control must take them for news.
const BEYOND_ANY_RECORD: u64 = 1 << 48;

impl Node {
    /// Takes a launch in. A repeat is answered with what is known and changes nothing.
    pub(crate) fn launch(&mut self, now: Timestamp, run: RunId, spec: Arc<TaskSpec>, effects: &mut Effects) {
        let id = spec.task.clone();
        if let Some(known) = self.tasks.get(&id) {
            if known.run != run {
                let text = format!("ignored launch {run} of a task that is known as launch {}", known.run);
                effects.push(explain::of_task(now, known, "refuse", Reason::new(text)));
            }
            return self.answer(&id, effects);
        }
        if let Some(why) = &self.closing {
            let text = format!("ignored the launch of task {id}: {why}");
            return effects.push(explain::of_machine(now, "refuse", Reason::new(text)));
        }
        if run <= self.agent.forgotten_run {
            self.tasks.insert(id.clone(), self.unremembered(now, &id, run, Some(spec)));
            let text = format!("launch {run} is older than what this agent has forgotten: it may be an echo");
            return self.end(now, &id, (now, Outcome::Lost, None), Reason::new(text), effects);
        }
        self.tasks.insert(id.clone(), self.new_task(now, &id, run, Some(spec)));
        self.tell(now, &id, Recorded::Starting, Reason::new("waits for its turn to start"), effects);
        self.queue.push_back(id);
    }

    /// A task of which nothing was told yet.
    pub(crate) fn new_task(
        &self,
        now: Timestamp,
        id: &TaskId,
        run: RunId,
        spec: Option<Arc<TaskSpec>>,
    ) -> Task {
        Task {
            id: id.clone(),
            run,
            spec,
            boot_id: self.config.boot_id.clone(),
            sequence: 0,
            at: now,
            told: Recorded::Starting,
            reason: Reason::default(),
            is_acknowledged: false,
            resend: Resend::at(now),
            phase: Phase::Queued,
            tenure: Tenure::default(),
        }
    }

    /// A task that may have been here, though there is no record of it any more.
    pub(crate) fn unremembered(
        &self,
        now: Timestamp,
        id: &TaskId,
        run: RunId,
        spec: Option<Arc<TaskSpec>>,
    ) -> Task {
        Task { sequence: BEYOND_ANY_RECORD, ..self.new_task(now, id, run, spec) }
    }

    /// Starts those whose turn it is.
    pub(crate) fn start_queued(&mut self, now: Timestamp, effects: &mut Effects) {
        let all = self.tasks.values().filter(|task| task.is_starting()).count();
        let waiting = self.tasks.values().filter(|task| task.awaits_image()).count();
        let mut starting = all - waiting.min(self.config.max_awaiting_images);
        self.queue.retain(|id| self.tasks.get(id).is_some_and(|task| matches!(task.phase, Phase::Queued)));
        while starting < self.config.max_starting {
            // Whoever still waits for a lease lets the others through.
            let Some(place) = self.queue.iter().position(|id| self.tasks[id].may_start(now)) else { return };
            let id = self.queue.remove(place).expect("its place was just found");
            let task = self.tasks.get_mut(&id).expect("only known tasks are in the queue");
            task.phase = Phase::Starting { awaits_image: false };
            let text = format!("{} of {} starts under way", starting + 1, self.config.max_starting);
            effects.push(Effect::Start { run: task.run, spec: task.known_spec().clone() });
            effects.push(explain::of_task(now, task, "start", Reason::new(text)));
            starting += 1;
        }
    }

    /// The image of a task that is being started is not here yet: others may go on meanwhile.
    pub(crate) fn fetching(&mut self, now: Timestamp, id: &TaskId, reason: Reason, effects: &mut Effects) {
        let Some(task) = self.tasks.get_mut(id) else { return };
        let Phase::Starting { awaits_image } = &mut task.phase else { return };
        *awaits_image = true;
        self.tell(now, id, Recorded::Starting, reason, effects);
    }

    /// It is here.
    pub(crate) fn fetched(&mut self, id: &TaskId) {
        if let Some(Task { phase: Phase::Starting { awaits_image }, .. }) = self.tasks.get_mut(id) {
            *awaits_image = false;
        }
    }

    /// The process runs, whether it is still wanted or not.
    pub(crate) fn started(
        &mut self,
        now: Timestamp,
        id: &TaskId,
        process: (u32, Timestamp, IpAddr),
        effects: &mut Effects,
    ) {
        let Some(task) = self.tasks.get_mut(id) else { return };
        match &task.phase {
            Phase::Starting { .. } => self.run(now, id, process, Reason::new("started"), effects),
            Phase::Stopping(stopping) if stopping.stage == StopStage::Cancelling => {
                let order = stopping.order.clone();
                self.ask_to_end(now, id, order, effects);
            }
            Phase::Queued
            | Phase::Recovering
            | Phase::Running(_)
            | Phase::Stopping(_)
            | Phase::Vanishing { .. }
            | Phase::Ended { .. } => {}
        }
    }

    /// Tells that `id` runs and begins to watch it.
    pub(crate) fn run(
        &mut self,
        now: Timestamp,
        id: &TaskId,
        (pid, started_at, ip): (u32, Timestamp, IpAddr),
        reason: Reason,
        effects: &mut Effects,
    ) {
        let task = self.tasks.get_mut(id).expect("only known tasks run");
        let watch = task.known_spec().template.health.clone().map(|check| Watch::new(check, now));
        let health = if watch.is_some() { Health::Starting } else { Health::Healthy };
        let running = Running { pid, started_at, ip, health };
        task.phase = Phase::Running(Box::new(Alive { running: running.clone(), watch }));
        self.tell(now, id, Recorded::Running(running), reason, effects);
    }

    /// Nothing runs and nothing was left behind.
    pub(crate) fn start_failed(
        &mut self,
        now: Timestamp,
        id: &TaskId,
        reason: Reason,
        is_permanent: bool,
        effects: &mut Effects,
    ) {
        let Some(task) = self.tasks.get(id).filter(|task| task.is_starting()) else { return };
        let (outcome, reason) = match &task.phase {
            Phase::Stopping(stopping) => {
                (Outcome::Killed, Reason::new(format!("{} (while it was starting)", stopping.order.why)))
            }
            _ if is_permanent => (Outcome::Rejected, reason),
            _ => (Outcome::Failed, reason),
        };
        self.end(now, id, (now, outcome, None), reason, effects);
    }
}
