//! What must hold in every run. Each checker is proven by a sabotaged core that it catches (`tests/sabotage.rs`).

mod absence;
mod acknowledgement;
mod capacity;
mod commitment;
mod copies;
mod drain;
mod offers;
mod settled;
mod single;

use std::collections::BTreeMap;

use kogge_kernel as kernel;
use kogge_model::name::InstanceId;
use kogge_services::Instance;

use crate::machine::Machine;
use crate::store::Tree;

pub(crate) use acknowledgement::late_acknowledgement;
pub(crate) use settled::unsettled;

/// All checkers. The first complaint stands.
#[derive(Debug, Clone, Default)]
pub(crate) struct Checks {
    complaint: Option<String>,
    offers: offers::Offers,
    copies: copies::Copies,
}

impl Checks {
    /// Something that must hold does not.
    pub(crate) fn fail(&mut self, complaint: impl Into<String>) {
        self.complaint.get_or_insert_with(|| complaint.into());
    }

    pub(crate) fn complaint(&self) -> Option<&str> {
        self.complaint.as_deref()
    }

    fn note(&mut self, found: Result<(), String>) {
        if let Err(complaint) = found {
            self.fail(complaint);
        }
    }

    /// A server takes over from what the store has.
    pub(crate) fn server_boots(&mut self, store: &crate::store::Store) {
        self.offers.restart(store.tasks.values());
    }

    /// The kernel took an input in.
    pub(crate) fn after_kernel(
        &mut self,
        input: &kernel::Input,
        effects: &[kernel::Effect],
        view: kernel::View<'_>,
    ) {
        let found = self.offers.after(input, effects);
        self.note(found);
        let found = self.copies.after_kernel(effects, view);
        self.note(found);
        self.note(absence::only_known_tasks_are_killed(input, effects, view));
        self.note(order(effects));
        self.note(drain::drained_agents_are_not_offered(effects, view));
    }

    /// Services took an input in.
    pub(crate) fn after_services(
        &mut self,
        before: &BTreeMap<InstanceId, Instance>,
        after: &BTreeMap<InstanceId, Instance>,
        tree: &Tree,
    ) {
        self.note(capacity::bounds(before, after, tree));
        self.note(drain::one_moves_for_balance(after));
    }

    /// A container is about to be brought up.
    pub(crate) fn before_start(
        &mut self,
        machine: usize,
        run: kogge_model::id::RunId,
        spec: &kogge_model::task::TaskSpec,
    ) {
        let found = self.copies.before_start(machine, run, &spec.task);
        self.note(found);
    }

    /// Nobody can know that a task ran before its machine lost power.
    pub(crate) fn forgive(&mut self, task: &kogge_model::id::TaskId) {
        self.copies.forgive(task);
    }

    /// A container's process runs.
    pub(crate) fn after_start(&mut self, task: &kogge_model::id::TaskId) {
        self.copies.after_start(task);
    }

    /// A copy of a single-copy service may have come to life.
    pub(crate) fn is_single(&mut self, machines: &[Machine], machine: usize, task: &kogge_model::id::TaskId) {
        self.note(single::no_second_copy(machines, machine, task));
    }

    /// Containers of a machine changed.
    pub(crate) fn machine(&mut self, machine: &Machine) {
        self.note(commitment::fits(machine));
    }

    /// A container is told to end while nothing but forgetfulness could be the reason.
    pub(crate) fn killed_by_absence(&mut self, task: &kogge_model::id::TaskId) {
        self.fail(format!("absence kills: task {task} was told to end after the store forgot"));
    }
}

fn order(effects: &[kernel::Effect]) -> Result<(), String> {
    if effects.is_sorted_by_key(kernel::Effect::stage) {
        Ok(())
    } else {
        Err("order: the kernel sends before it persists".into())
    }
}
