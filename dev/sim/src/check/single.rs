//! A single-copy service never has two live copies, cut off machines included (G9).
//!
//! An ordinary copy of a service that has become a single-copy one, or had its name before, counts like any other. One
//! that was launched after the single copy does not: its service was an ordinary one again by then.

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
            let counts = container.spec.template.lease().is_some() || container.run < new.run;
            *id != task && container.is_running() && is_of_service && counts
        });
        if let Some((twin, _)) = twin {
            let place = other.index;
            return Err(format!("single: {task} lives on m{machine} while {twin} lives on m{place}"));
        }
    }
    Ok(())
}
