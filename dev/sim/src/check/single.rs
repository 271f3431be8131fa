//! A single-copy service never has two live copies, cut off machines included (G9).
//!
//! Copies count that were launched as single ones, under a lease. Those of an ordinary service that became a single-copy
//! one, or had its name before, know of no lease: on a machine that is cut off nobody can end them.

use kogge_model::id::TaskId;

use crate::machine::Machine;

/// A copy has just come to life on `machine`.
pub(super) fn no_second_copy(machines: &[Machine], machine: usize, task: &TaskId) -> Result<(), String> {
    let Some(new) = machines[machine].containers.get(task) else { return Ok(()) };
    let Some(instance) = new.spec.instance.as_ref().filter(|_| new.spec.template.lease().is_some()) else {
        return Ok(());
    };
    for other in machines {
        let twin = other.containers.iter().find(|(id, container)| {
            let is_of_service =
                container.spec.instance.as_ref().is_some_and(|twin| twin.service == instance.service);
            let is_leased = container.spec.template.lease().is_some();
            *id != task && container.is_running() && is_of_service && is_leased
        });
        if let Some((twin, _)) = twin {
            let place = other.index;
            return Err(format!("single: {task} lives on m{machine} while {twin} lives on m{place}"));
        }
    }
    Ok(())
}
