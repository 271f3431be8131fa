//! Every update is acknowledged, and its agent hears of it.

use std::time::Duration;

use kogge_model::time::Timestamp;

use crate::machine::Machine;

/// On a clear wire nothing waits longer for its acknowledgement.
const PATIENCE: Duration = Duration::from_secs(15);

/// The first update that waits for too long.
pub(crate) fn late_acknowledgement(now: Timestamp, machine: &Machine) -> Option<String> {
    let waiting = machine.node.as_ref()?.tasks().filter(|task| !task.is_acknowledged);
    let mut records = waiting.filter_map(|task| machine.disk.tasks.get(&task.task));
    let record = records.find(|record| now.saturating_since(record.at) > PATIENCE)?;
    Some(format!(
        "acknowledgements: update {} of {} on m{} is not acknowledged",
        record.sequence, record.task, machine.index
    ))
}
