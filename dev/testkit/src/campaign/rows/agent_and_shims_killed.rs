//! An agent is killed together with the supervisors of its tasks, and their processes go on alone: when the agent is
//! back it ends what nobody supervises, and the tasks start again.

use std::time::Duration;

use super::{Row, seconds};
use crate::campaign::{Miss, Stage};
use crate::cluster::Fault;

pub(super) const ROW: Row = Row {
    name: "agent-and-shims-killed",
    promises: "G7 G27",
    shape: super::as_planned,
    play,
    back: super::BACK,
};

/// Until as many instances as are wished are healthy again.
const GOAL: Duration = Duration::from_secs(10);

fn play(stage: &mut Stage) -> Result<String, Miss> {
    let tasks = stage.tasks()?;
    let (own, others) = (tasks.on("a1"), tasks.off("a1"));
    // What is being answered by a process that is ended is lost.
    stage.forgive(GOAL);
    stage.fault("a1", &Fault::Kill { with_tasks: false })?;
    own.kill_supervisors()?;
    let back = stage.fault("a1", &Fault::Restart { program: None })?;
    stage.until("the old tasks have ended", GOAL, |_| {
        match own.0.values().find(|(_, process)| process.is_alive()) {
            Some((agent, process)) => Err(Miss::new(format!("process {} on {agent} lives", process.pid))),
            None => Ok(()),
        }
    })?;
    stage.settle(GOAL)?;
    others.alive()?;
    Ok(format!("{} tasks replaced {} after the agent was back", own.0.len(), seconds(back.elapsed())))
}
