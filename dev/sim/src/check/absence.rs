//! Absence of state never kills: an order to end a task names one that has a record, or was given explicitly.

use kogge_kernel as kernel;
use kogge_model::link::ToAgent;
use kogge_model::scheduler::Call;

pub(super) fn only_known_tasks_are_killed(
    input: &kernel::Input,
    effects: &[kernel::Effect],
    view: kernel::View<'_>,
) -> Result<(), String> {
    for effect in effects {
        let kernel::Effect::ToAgent { message: ToAgent::Kill { task, .. }, .. } = effect else { continue };
        let is_explicit = matches!(
            input,
            kernel::Input::FromFramework { call: Call::Kill { task: named, .. }, .. } if named == task
        );
        if !is_explicit && view.task(task).is_none() {
            return Err(format!("absence kills: task {task} is to end, and there is no record of it"));
        }
    }
    Ok(())
}
