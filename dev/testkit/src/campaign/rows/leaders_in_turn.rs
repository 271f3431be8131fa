//! Leaders fail one after the other, faster than those that were killed have caught up: each one that comes next has led
//! a moment ago, or has just been started.

use std::time::{Duration, Instant};

use serde_json::json;

use super::{Row, seconds, takeover};
use crate::campaign::{Miss, Stage};
use crate::cluster::Fault;

pub(super) const ROW: Row = Row {
    name: "leaders-in-turn",
    promises: "G1 G7 G8 G27",
    shape: super::as_planned,
    play,
    back: super::BACK,
};

const TIMES: usize = 6;
/// Until the first write is acknowledged after a leader has died,
const KILLED: Duration = Duration::from_secs(2);
/// and after one has been told to let go.
const TOLD: Duration = Duration::from_secs(1);

fn play(stage: &mut Stage) -> Result<String, Miss> {
    let tasks = stage.tasks()?;
    let (mut killed, mut told) = (Duration::ZERO, Duration::ZERO);
    for _ in 0..TIMES {
        let leader = stage.leader()?;
        let died = stage.fault(&leader, &Fault::Kill { with_tasks: false })?;
        killed = killed.max(stage.first_write(died, takeover(stage, KILLED))?);
        stage.fault(&leader, &Fault::Restart { program: None })?;
        told = told.max(step_down(stage)?);
    }
    stage.untouched(&tasks)?;
    Ok(format!(
        "first write at worst after {} in {TIMES} deaths, {} in as many hand-overs",
        seconds(killed),
        seconds(told)
    ))
}

fn step_down(stage: &Stage) -> Result<Duration, Miss> {
    let leader = stage.leader()?;
    let asked = Instant::now();
    let answer = stage.ask_at(&leader, "/api/v1/leader/step-down", Some(&json!({})))?;
    if answer.status != 204 {
        return Err(Miss::new(format!("{leader} does not step down: {}", answer.detail())));
    }
    stage.first_write(asked, TOLD)
}
