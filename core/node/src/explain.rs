//! Decisions with their reasons, to be read afterwards (G23).

use kogge_model::decision::Decision;
use kogge_model::reason::Reason;
use kogge_model::time::Timestamp;

use crate::effect::Effect;
use crate::state::Task;

/// A decision about a task.
pub(crate) fn of_task(now: Timestamp, task: &Task, verb: &str, reason: Reason) -> Effect {
    let instance = task.spec.as_ref().and_then(|spec| spec.instance.as_ref());
    Effect::Explain(Decision {
        at: now,
        service: instance.map(|instance| instance.service.clone()),
        instance: instance.map(|instance| instance.number),
        task: Some(task.id.clone()),
        verb: verb.to_owned(),
        reason,
    })
}

/// A decision about the machine as a whole.
pub(crate) fn of_machine(now: Timestamp, verb: &str, reason: Reason) -> Effect {
    Effect::Explain(Decision {
        at: now,
        service: None,
        instance: None,
        task: None,
        verb: verb.to_owned(),
        reason,
    })
}
