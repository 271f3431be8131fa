//! An agent is cut off for three seconds, and nothing happens; then for thirty, or for ten minutes: its tasks are
//! replaced, and when it is back, what is too many ends.

use std::time::Duration;

use super::{Row, linger, seconds};
use crate::campaign::{Miss, Stage, WISH};
use crate::cluster::Fault;

pub(super) const ROW: Row =
    Row { name: "agent-isolated", promises: "G7 G10", shape: super::as_planned, play, back: super::BACK };
pub(super) const LONG: Row = Row { name: "agent-isolated-long", play: play_long, ..ROW };

const SHORT: Duration = Duration::from_secs(3);
const MIDDLE: Duration = Duration::from_secs(30);
const MINUTES: Duration = Duration::from_secs(600);
/// Until replacements run.
const REPLACED: Duration = Duration::from_secs(8);
/// Until what is too many has ended.
const SURPLUS: Duration = Duration::from_secs(10);

fn play(stage: &mut Stage) -> Result<String, Miss> {
    isolated(stage, MIDDLE)
}

fn play_long(stage: &mut Stage) -> Result<String, Miss> {
    isolated(stage, MINUTES)
}

fn isolated(stage: &mut Stage, span: Duration) -> Result<String, Miss> {
    let tasks = stage.tasks()?;
    stage.fault("a1", &Fault::Cut { direction: None, peer: None })?;
    linger(SHORT);
    stage.fault("a1", &Fault::Heal)?;
    stage.node_is("a1", "ready", super::BACK)?;
    stage.untouched(&tasks)?;

    let cut = stage.fault("a1", &Fault::Cut { direction: None, peer: None })?;
    // Nobody tells users that a machine is silent, until it is known to be.
    stage.forgive(REPLACED);
    let (_, replaced) = stage.until("instances elsewhere", REPLACED, |stage| healthy_off(stage, "a1"))?;
    linger(span.saturating_sub(cut.elapsed()));
    tasks.alive()?;
    stage.fault("a1", &Fault::Heal)?;
    let (_, gone) = stage.until("no instance too many", SURPLUS, |stage| {
        let listed = stage.tasks()?;
        let left =
            tasks.0.iter().filter(|(task, (_, process))| process.is_alive() && !listed.0.contains_key(*task));
        let left = left.count();
        if left == 0 && listed.0.len() == WISH {
            return Ok(());
        }
        Err(Miss::new(format!("{left} are too many, {} are told", listed.0.len())))
    })?;
    tasks.off("a1").alive()?;
    Ok(format!("replaced after {}, surplus ended after {}", seconds(replaced), seconds(gone)))
}

/// As many healthy instances as are wished, none of them on that agent.
pub(super) fn healthy_off(stage: &Stage, agent: &str) -> Result<(), Miss> {
    let instances = stage.instances()?;
    let count = instances.iter().filter(|one| one["healthy"] == true && one["agent"] != agent).count();
    if count >= WISH { Ok(()) } else { Err(Miss::new(format!("{count} of {WISH} are healthy elsewhere"))) }
}
