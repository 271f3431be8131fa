//! A machine dies with all that runs on it, and comes back empty.

use std::time::Duration;

use super::agent_isolated::healthy_off;
use super::{Row, seconds};
use crate::campaign::{Miss, Stage};
use crate::cluster::Fault;

pub(super) const ROW: Row =
    Row { name: "machine-lost", promises: "G7 G18 G27", shape: super::as_planned, play, back: super::BACK };

/// Until replacements run.
const GOAL: Duration = Duration::from_secs(6);

fn play(stage: &mut Stage) -> Result<String, Miss> {
    let others = stage.tasks()?.off("a1");
    // What is under way at that moment is lost; and a silent machine is asked until it is known to be silent.
    stage.forgive(GOAL);
    let died = stage.fault("a1", &Fault::Cut { direction: None, peer: None })?;
    stage.fault("a1", &Fault::Kill { with_tasks: true })?;
    let rest = (GOAL + Duration::from_secs(2)).saturating_sub(died.elapsed());
    stage.until("instances elsewhere", rest, |stage| healthy_off(stage, "a1"))?;
    let took = died.elapsed();
    if took > GOAL * stage.slack {
        return Err(Miss::new(format!("replaced after {}, not {}", seconds(took), seconds(GOAL))));
    }
    others.alive()?;
    stage.fault("a1", &Fault::Heal)?;
    stage.fault("a1", &Fault::Restart { program: None })?;
    stage.node_is("a1", "ready", super::BACK)?;
    others.alive()?;
    Ok(format!("replaced after {}", seconds(took)))
}
