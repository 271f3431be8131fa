//! What is kept of ended tasks, and when it goes.
//!
//! Nothing that control has not acknowledged goes. Of the rest the newest are kept for their logs, within a number a
//! machine, a number an instance, and an age.

use std::collections::BTreeMap;

use kogge_model::id::TaskId;
use kogge_model::time::Timestamp;

use crate::effect::{Effect, Effects};
use crate::node::Node;
use crate::state::{Phase, Task};

impl Node {
    /// Removes what is beyond the bounds, when something was acknowledged or has become old.
    pub(crate) fn collect(&mut self, now: Timestamp, effects: &mut Effects) {
        if self.collect_due.is_none_or(|due| due > now) {
            return;
        }
        for id in self.plan_collect(now) {
            let Some(task) = self.tasks.get_mut(&id) else { continue };
            task.phase = Phase::Ended { is_collecting: true };
            if task.spec.is_some() {
                effects.push(Effect::Collect(id));
            } else {
                self.collected(&id, effects);
            }
        }
        let kept = self.tasks.values().filter(|task| is_collectable(task));
        self.collect_due = kept.map(|task| task.at.plus(self.config.kept_age)).min();
    }

    fn plan_collect(&self, now: Timestamp) -> Vec<TaskId> {
        let mut ended: Vec<&Task> = self.tasks.values().filter(|task| is_collectable(task)).collect();
        ended.sort_by(|a, b| b.at.cmp(&a.at).then_with(|| b.run.cmp(&a.run)));
        let mut of_instance = BTreeMap::new();
        let mut kept = 0;
        let mut surplus = Vec::new();
        for task in ended {
            let instance = task.spec.as_ref().and_then(|spec| spec.instance.as_ref());
            let siblings = instance.map_or(0, |instance| *of_instance.get(instance).unwrap_or(&0));
            let is_old = task.at.plus(self.config.kept_age) <= now;
            if is_old || kept >= self.config.kept_ended || siblings >= self.config.kept_per_instance {
                surplus.push(task.id.clone());
                continue;
            }
            kept += 1;
            if let Some(instance) = instance {
                of_instance.insert(instance, siblings + 1);
            }
        }
        surplus
    }

    /// Nothing is left: forget it, but remember that launches up to it were had.
    pub(crate) fn collected(&mut self, id: &TaskId, effects: &mut Effects) {
        let is_collecting = |task: &&Task| matches!(task.phase, Phase::Ended { is_collecting: true });
        let Some(run) = self.tasks.get(id).filter(is_collecting).map(|task| task.run) else { return };
        if run > self.agent.forgotten_run {
            self.agent.forgotten_run = run;
            effects.push(Effect::SaveAgent(self.agent.clone()));
        }
        effects.push(Effect::Forget(id.clone()));
        self.tasks.remove(id);
    }
}

const fn is_collectable(task: &Task) -> bool {
    task.is_acknowledged && matches!(task.phase, Phase::Ended { is_collecting: false })
}
