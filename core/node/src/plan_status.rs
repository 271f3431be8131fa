//! Updates: numbered, kept, sent again until acknowledged (`plan_repeat.rs`). Only the newest matters, and the last is
//! never dropped.

use std::time::Duration;

use kogge_model::id::{RunId, TaskId};
use kogge_model::link::ToControl;
use kogge_model::reason::Reason;
use kogge_model::task::{Ended, Exit, Outcome};
use kogge_model::time::Timestamp;

use crate::effect::{Effect, Effects};
use crate::node::Node;
use crate::record::Recorded;
use crate::state::{Phase, Resend};

impl Node {
    /// Makes a new update of `task`: kept at once, sent before this input is done; that it starts, a moment later.
    ///
    /// # Panics
    /// When the update is no legal move: a task only moves forward.
    pub(crate) fn tell(
        &mut self,
        now: Timestamp,
        id: &TaskId,
        told: Recorded,
        reason: Reason,
        effects: &mut Effects,
    ) {
        let task = self.tasks.get_mut(id).expect("only known tasks are told of");
        assert!(
            task.spec.is_none() || task.sequence == 0 || task.told.state().may_become(&told.state()),
            "task {id} cannot go from {} to {}",
            task.told.state().word(),
            told.state().word(),
        );
        let after = if told == Recorded::Starting { self.config.tell_start_after } else { Duration::ZERO };
        task.sequence += 1;
        task.at = now;
        task.told = told;
        task.reason = reason;
        task.is_acknowledged = false;
        task.resend = Resend::at(now.plus(after));
        task.boot_id.clone_from(&self.config.boot_id);
        effects.push(Effect::Save(Box::new(task.record())));
    }

    /// Tells the end of `id`.
    pub(crate) fn end(
        &mut self,
        now: Timestamp,
        id: &TaskId,
        (at, outcome, exit): (Timestamp, Outcome, Option<Exit>),
        reason: Reason,
        effects: &mut Effects,
    ) {
        self.tell(now, id, Recorded::Ended(Ended { at, outcome, exit }), reason, effects);
        let task = self.tasks.get_mut(id).expect("a task that was just told of is known");
        task.phase = Phase::Ended { is_collecting: false };
        if task.spec.is_some() {
            effects.push(Effect::Release(id.clone()));
        }
    }

    /// The newest update of `id` is sent once more, whether it was acknowledged or not: somebody asks.
    pub(crate) fn answer(&self, id: &TaskId, effects: &mut Effects) {
        if let Some(task) = self.tasks.get(id).filter(|_| self.link.is_registered()) {
            effects.push(Effect::Send(ToControl::Status(task.status(&self.config.info.agent))));
        }
    }

    /// An update is safe. Acknowledgements of older updates say nothing about the newest.
    pub(crate) fn acknowledge(
        &mut self,
        now: Timestamp,
        (id, run): (&TaskId, RunId),
        sequence: u64,
        effects: &mut Effects,
    ) {
        let Some(task) = self.tasks.get_mut(id).filter(|task| task.run == run) else { return };
        if task.sequence != sequence || task.is_acknowledged {
            return;
        }
        task.is_acknowledged = true;
        let (resend, is_ended) = (task.resend, task.is_ended());
        self.has_answered(now, resend);
        if is_ended {
            let task = self.tasks.get_mut(id).expect("it was just seen");
            task.boot_id.clone_from(&self.config.boot_id);
            effects.push(Effect::Save(Box::new(task.record())));
            self.collect_due = Some(now);
        }
    }
}
