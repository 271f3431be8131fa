//! The leader is killed: another one takes over at once, and the killed one comes back as one of the others.

use std::time::Duration;

use super::{Row, seconds, takeover};
use crate::campaign::{Miss, Stage};
use crate::cluster::Fault;

pub(super) const ROW: Row = Row {
    name: "leader-killed",
    promises: "G1 G7 G8 G27",
    shape: super::as_planned,
    play,
    back: super::BACK,
};

/// Until the first write is acknowledged.
const GOAL: Duration = Duration::from_secs(2);

fn play(stage: &mut Stage) -> Result<String, Miss> {
    let (leader, tasks) = (stage.leader()?, stage.tasks()?);
    let died = stage.fault(&leader, &Fault::Kill { with_tasks: false })?;
    let took = stage.first_write(died, takeover(stage, GOAL))?;
    stage.fault(&leader, &Fault::Restart { program: None })?;
    stage.untouched(&tasks)?;
    Ok(format!("first write after {}", seconds(took)))
}
