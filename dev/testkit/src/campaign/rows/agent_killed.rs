//! The agent's process is killed, and later stands still: its tasks run on as if nothing had happened.

use std::time::Duration;

use super::{Row, linger, seconds};
use crate::campaign::{Miss, Stage};
use crate::cluster::Fault;

pub(super) const ROW: Row =
    Row { name: "agent-killed", promises: "G7", shape: super::as_planned, play, back: super::BACK };

/// An agent that is silent for longer is given up.
const SHORT: Duration = Duration::from_millis(2_500);

fn play(stage: &mut Stage) -> Result<String, Miss> {
    let tasks = stage.tasks()?;
    let died = stage.fault("a1", &Fault::Kill { with_tasks: false })?;
    linger(stage.dice.span(Duration::from_millis(10), SHORT / 2));
    stage.fault("a1", &Fault::Restart { program: None })?;
    let back = stage.returned("a1", super::BACK)?;
    stage.untouched(&tasks)?;
    let paused = stage.fault("a1", &Fault::Pause { with_tasks: false })?;
    let span = stage.dice.span(Duration::from_millis(100), SHORT);
    linger(span.saturating_sub(paused.elapsed()));
    stage.fault("a1", &Fault::Resume)?;
    stage.node_is("a1", "ready", super::BACK)?;
    stage.untouched(&tasks)?;
    Ok(format!(
        "killed, ready after {} of {} more; stood still for {}",
        seconds(back),
        seconds(died.elapsed()),
        seconds(span)
    ))
}
