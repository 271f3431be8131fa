//! A task runs at most once, at one place; an instance has at most one task that counts.

use std::collections::{BTreeMap, BTreeSet};

use kogge_kernel as kernel;
use kogge_model::id::{RunId, TaskId};
use kogge_model::task::TaskState;

/// Where each task was started.
#[derive(Debug, Clone, Default)]
pub(super) struct Copies {
    places: BTreeMap<TaskId, (usize, RunId)>,
    runs: BTreeMap<RunId, TaskId>,
    /// Tasks whose process ran: another start would be a second life.
    lived: BTreeSet<TaskId>,
}

impl Copies {
    pub(super) fn before_start(&mut self, machine: usize, run: RunId, task: &TaskId) -> Result<(), String> {
        let place = self.places.entry(task.clone()).or_insert((machine, run));
        if *place != (machine, run) {
            return Err(format!("copies: task {task} was started on m{} and on m{machine}", place.0));
        }
        if self.lived.contains(task) {
            return Err(format!("copies: task {task} was started again after it had run"));
        }
        let owner = self.runs.entry(run).or_insert_with(|| task.clone());
        if owner != task {
            return Err(format!("copies: run {run} is of {owner} and of {task}"));
        }
        Ok(())
    }

    /// Neither its agent nor the server can know that it ran: a second life after a loss of power is allowed.
    pub(super) fn forgive(&mut self, task: &TaskId) {
        self.lived.remove(task);
    }

    pub(super) fn after_start(&mut self, task: &TaskId) {
        self.lived.insert(task.clone());
    }

    /// A launch gives an instance its task: it must not have another one that counts.
    pub(super) fn after_kernel(
        &self,
        effects: &[kernel::Effect],
        view: kernel::View<'_>,
    ) -> Result<(), String> {
        for effect in effects {
            let kernel::Effect::Save(record) = effect else { continue };
            if record.status.state != TaskState::Staging || record.kill.is_some() {
                continue;
            }
            let other = view.tasks().find(|other| {
                other.is_live()
                    && other.spec.task != record.spec.task
                    && other.spec.instance == record.spec.instance
            });
            if let Some(other) = other {
                let (task, other) = (&record.spec.task, &other.spec.task);
                return Err(format!("copies: {task} was launched while {other} is the same instance"));
            }
        }
        Ok(())
    }
}
