//! The leader stands still for a while, and goes on when another one leads, or before.

use std::time::Duration;

use super::{Row, linger, seconds};
use crate::campaign::{Miss, Stage};
use crate::cluster::Fault;

pub(super) const ROW: Row = Row {
    name: "leader-paused",
    promises: "G1 G7 G8 G27",
    shape: super::as_planned,
    play,
    back: super::BACK,
};

/// Until the first write is acknowledged, by whomever: a lease of three seconds, and some to notice.
const GOAL: Duration = Duration::from_secs(6);

fn play(stage: &mut Stage) -> Result<String, Miss> {
    let span = stage.dice.span(Duration::from_millis(300), Duration::from_secs(60));
    let (leader, tasks) = (stage.leader()?, stage.tasks()?);
    let paused = stage.fault(&leader, &Fault::Pause { with_tasks: false })?;
    linger(span.min(GOAL));
    let took = if span > GOAL { Some(stage.first_write(paused, GOAL)?) } else { None };
    linger(span.saturating_sub(paused.elapsed()));
    let resumed = stage.fault(&leader, &Fault::Resume)?;
    let took = took.map_or_else(|| stage.first_write(paused, span + GOAL), Ok)?;
    stage.first_write(resumed, Duration::from_secs(2))?;
    stage.untouched(&tasks)?;
    Ok(format!("stood still for {}, first write after {}", seconds(span), seconds(took)))
}
