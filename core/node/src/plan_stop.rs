//! Ending tasks: ask, wait, kill; and never tell an end before nothing is left.

use std::time::Duration;

use kogge_model::id::{RunId, TaskId};
use kogge_model::reason::Reason;
use kogge_model::task::{Exit, Outcome};
use kogge_model::time::Timestamp;

use crate::effect::{Effect, Effects, StopSignal};
use crate::exit;
use crate::explain;
use crate::node::Node;
use crate::record::{Recorded, StopOrder};
use crate::state::{Phase, StopStage, Stopping, Task};

impl Node {
    /// Obeys an order to end a task. A repeat can only shorten the grace.
    pub(crate) fn kill(
        &mut self,
        now: Timestamp,
        (id, run): (&TaskId, RunId),
        grace_ms: Option<u64>,
        why: &Reason,
        effects: &mut Effects,
    ) {
        let Some(task) = self.tasks.get(id) else {
            return self.end_unknown(now, (id, run), effects);
        };
        if task.run != run {
            let text =
                format!("ignored the order to end launch {run}: the task is known as launch {}", task.run);
            return effects.push(explain::of_task(now, task, "refuse", Reason::new(text)));
        }
        if task.is_ended() || matches!(task.phase, Phase::Vanishing { .. }) {
            return self.answer(id, effects);
        }
        let grace_ms = grace_ms.unwrap_or(task.known_spec().template.kill_grace_ms);
        let kill_at = now.plus(Duration::from_millis(grace_ms));
        self.order_end(now, id, StopOrder { why: why.clone(), grace_ms, kill_at }, effects);
    }

    /// A task nobody launched here is over before it began. That is kept, so that a launch that was overtaken by the
    /// order to end it does not bring it up.
    fn end_unknown(&mut self, now: Timestamp, (id, run): (&TaskId, RunId), effects: &mut Effects) {
        self.tasks.insert(id.clone(), self.unremembered(now, id, run, None));
        let reason = Reason::new("not known on this agent: there is nothing to end");
        self.end(now, id, (now, Outcome::Killed, None), reason, effects);
    }

    /// Ends a task that has not ended, wherever it is.
    fn order_end(&mut self, now: Timestamp, id: &TaskId, order: StopOrder, effects: &mut Effects) {
        let task = self.tasks.get_mut(id).expect("only known tasks are ended");
        match &mut task.phase {
            Phase::Queued => {
                let reason = Reason::new(format!("{} (before it was started)", order.why));
                self.end(now, id, (now, Outcome::Killed, None), reason, effects);
            }
            Phase::Starting { .. } => {
                task.phase = Phase::Stopping(Stopping { order: order.clone(), stage: StopStage::Cancelling });
                self.tell_stopping(now, id, order, effects);
                effects.push(Effect::CancelStart(id.clone()));
            }
            Phase::Recovering if matches!(task.told, Recorded::Stopping(_)) => self.answer(id, effects),
            Phase::Recovering => self.tell_stopping(now, id, order, effects),
            Phase::Running(_) => {
                self.tell_stopping(now, id, order.clone(), effects);
                self.ask_to_end(now, id, order, effects);
            }
            Phase::Stopping(stopping) => {
                if order.kill_at < stopping.order.kill_at {
                    stopping.order.kill_at = order.kill_at;
                    stopping.order.grace_ms = order.grace_ms;
                    task.told = Recorded::Stopping(stopping.order.clone());
                    effects.push(Effect::Save(Box::new(task.record())));
                }
                self.answer(id, effects);
            }
            Phase::Vanishing { .. } | Phase::Ended { .. } => {}
        }
    }

    fn tell_stopping(&mut self, now: Timestamp, id: &TaskId, order: StopOrder, effects: &mut Effects) {
        let why = order.why.clone();
        self.tell(now, id, Recorded::Stopping(order), why, effects);
    }

    /// Sends the stop signal to a running process; without grace it is killed at once.
    pub(crate) fn ask_to_end(
        &mut self,
        now: Timestamp,
        id: &TaskId,
        order: StopOrder,
        effects: &mut Effects,
    ) {
        let task = self.tasks.get_mut(id).expect("only known tasks are ended");
        effects.push(explain::of_task(now, task, "kill", order.why.clone()));
        if order.kill_at > now {
            effects.push(Effect::Signal { task: id.clone(), signal: StopSignal::Stop });
        }
        task.phase = Phase::Stopping(Stopping { order, stage: StopStage::Asked });
    }

    /// Ends everything; launches are refused from now on.
    pub(crate) fn stop_all(&mut self, now: Timestamp, why: &Reason, effects: &mut Effects) {
        self.closing = Some(why.clone());
        let living = self.tasks.values().filter(|task| !task.is_ended());
        let orders: Vec<(TaskId, RunId)> = living.map(|task| (task.id.clone(), task.run)).collect();
        for (id, run) in orders {
            self.kill(now, (&id, run), None, why, effects);
        }
    }

    /// Kills what did not end in its grace, and makes sure again of what is still there.
    pub(crate) fn escalate(&mut self, now: Timestamp, effects: &mut Effects) {
        let again_at = now.plus(self.config.kill_again);
        for task in self.tasks.values_mut().filter(|task| Self::stop_due(task).is_some_and(|due| due <= now))
        {
            let id = task.id.clone();
            let mut hard = None;
            match &mut task.phase {
                Phase::Stopping(stopping) => {
                    hard = (stopping.stage == StopStage::Asked).then_some(stopping.order.grace_ms);
                    stopping.stage = StopStage::Forced { again_at };
                    effects.push(Effect::Signal { task: id, signal: StopSignal::Kill });
                }
                Phase::Vanishing { again_at: due, .. } => {
                    *due = again_at;
                    effects.push(Effect::MakeSure(id));
                }
                Phase::Queued
                | Phase::Starting { .. }
                | Phase::Recovering
                | Phase::Running(_)
                | Phase::Ended { .. } => {}
            }
            if let Some(grace_ms) = hard.filter(|&grace_ms| grace_ms > 0) {
                let text = format!("did not end within its grace of {grace_ms} ms");
                effects.push(explain::of_task(now, task, "kill-hard", Reason::new(text)));
            }
        }
    }

    pub(crate) const fn stop_due(task: &Task) -> Option<Timestamp> {
        match &task.phase {
            Phase::Stopping(stopping) => match stopping.stage {
                StopStage::Cancelling => None,
                StopStage::Asked => Some(stopping.order.kill_at),
                StopStage::Forced { again_at } => Some(again_at),
            },
            Phase::Vanishing { again_at, .. } => Some(*again_at),
            Phase::Queued
            | Phase::Starting { .. }
            | Phase::Recovering
            | Phase::Running(_)
            | Phase::Ended { .. } => None,
        }
    }

    /// The process ended.
    pub(crate) fn exited(
        &mut self,
        now: Timestamp,
        id: &TaskId,
        (exit, at, oom_kills): (Exit, Timestamp, u64),
        effects: &mut Effects,
    ) {
        let Some(task) = self.tasks.get(id) else { return };
        let (outcome, reason) = match &task.phase {
            Phase::Starting { .. } | Phase::Running(_) => {
                exit::own_end(exit, oom_kills, task.spec.as_deref())
            }
            Phase::Stopping(stopping) => (Outcome::Killed, exit::ordered_end(exit, &stopping.order.why)),
            // A supervisor that was given up has left word after all.
            Phase::Vanishing { outcome: Outcome::Killed, reason, .. } => {
                (Outcome::Killed, exit::ordered_end(exit, reason))
            }
            Phase::Vanishing { .. } => exit::own_end(exit, oom_kills, task.spec.as_deref()),
            Phase::Queued | Phase::Recovering | Phase::Ended { .. } => return,
        };
        self.end(now, id, (at, outcome, Some(exit)), reason, effects);
    }

    /// The supervisor ends the task, or has ended it, for want of the cluster's word. That is told as an order.
    pub(crate) fn lease_ended(&mut self, now: Timestamp, id: &TaskId, effects: &mut Effects) {
        let Some(task) = self.tasks.get_mut(id) else { return };
        let is_alive = match task.phase {
            Phase::Running(_) | Phase::Starting { .. } => true,
            Phase::Recovering => !matches!(task.told, Recorded::Stopping(_)),
            Phase::Queued | Phase::Stopping(_) | Phase::Vanishing { .. } | Phase::Ended { .. } => false,
        };
        let Some(lease) = task.lease().filter(|_| is_alive) else { return };
        let text = format!(
            "cut off from the cluster for longer than its lease of {} ms",
            lease.length().as_millis()
        );
        let why =
            Reason::new(text).with_hint("a single copy is stopped so that it can be replaced elsewhere");
        // Its supervisor sees to the rest.
        let grace_ms = task.known_spec().template.kill_grace_ms;
        let order = StopOrder { why, grace_ms, kill_at: now.plus(Duration::from_millis(grace_ms)) };
        if !matches!(task.phase, Phase::Recovering) {
            task.phase = Phase::Stopping(Stopping { order: order.clone(), stage: StopStage::Asked });
        }
        self.tell_stopping(now, id, order, effects);
    }

    /// The supervisor is gone; the process may live on without it.
    pub(crate) fn shim_lost(&mut self, now: Timestamp, id: &TaskId, reason: Reason, effects: &mut Effects) {
        let Some(task) = self.tasks.get(id) else { return };
        match &task.phase {
            Phase::Running(_) => self.vanish(now, id, Outcome::Lost, reason, effects),
            Phase::Stopping(Stopping { stage: StopStage::Asked | StopStage::Forced { .. }, order }) => {
                let reason = Reason::new(format!("{} ({reason})", order.why));
                self.vanish(now, id, Outcome::Killed, reason, effects);
            }
            Phase::Queued
            | Phase::Starting { .. }
            | Phase::Recovering
            | Phase::Stopping(_)
            | Phase::Vanishing { .. }
            | Phase::Ended { .. } => {}
        }
    }

    /// Has every process of a task killed before its end is told.
    pub(crate) fn vanish(
        &mut self,
        now: Timestamp,
        id: &TaskId,
        outcome: Outcome,
        reason: Reason,
        effects: &mut Effects,
    ) {
        let again_at = now.plus(self.config.kill_again);
        let task = self.tasks.get_mut(id).expect("only known tasks vanish");
        effects.push(Effect::MakeSure(id.clone()));
        effects.push(explain::of_task(now, task, "make-sure", reason.clone()));
        task.phase = Phase::Vanishing { outcome, reason, again_at };
    }

    /// Nothing of the task is left.
    pub(crate) fn gone(&mut self, now: Timestamp, id: &TaskId, effects: &mut Effects) {
        let Some(task) = self.tasks.get(id) else { return };
        if let Phase::Vanishing { outcome, reason, .. } = &task.phase {
            let (outcome, reason) = (*outcome, reason.clone());
            self.end(now, id, (now, outcome, None), reason, effects);
        }
    }
}
