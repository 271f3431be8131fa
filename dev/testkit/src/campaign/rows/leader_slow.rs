//! The leader's machine stutters: its process stands still for over a second, runs for a moment, and so on. On etcd its
//! lease goes on, and everybody waits for it, so that it must give way by itself; on ZooKeeper it loses the lead anyway.

use std::time::{Duration, Instant};

use super::{Row, linger, seconds};
use crate::campaign::{Miss, Stage};
use crate::cluster::Fault;

pub(super) const ROW: Row =
    Row { name: "leader-slow", promises: "G1 G7 G8 G27", shape: super::as_planned, play, back: super::BACK };

/// Within a lease, and longer than a commit may take.
const STILL: Duration = Duration::from_millis(1_300);
const MOMENT: Duration = Duration::from_millis(300);
/// Until another one leads: ten seconds in which a lead is not judged, three waits, what the leader tells the others,
/// and their answer, each with a stutter.
const GOAL: Duration = Duration::from_secs(20);

fn play(stage: &mut Stage) -> Result<String, Miss> {
    let (leader, tasks) = (stage.leader()?, stage.tasks()?);
    let begin = Instant::now();
    let replaced = stutter(stage, &leader, begin);
    stage.fault(&leader, &Fault::Resume)?;
    let took = replaced?;
    stage.first_write(Instant::now(), super::BACK)?;
    stage.untouched(&tasks)?;
    Ok(format!("another one leads after {}", seconds(took)))
}

/// Until another server says that one of the others leads.
fn stutter(stage: &mut Stage, leader: &str, begin: Instant) -> Result<Duration, Miss> {
    while begin.elapsed() < GOAL {
        stage.fault(leader, &Fault::Pause { with_tasks: false })?;
        linger(STILL);
        stage.fault(leader, &Fault::Resume)?;
        linger(MOMENT);
        // An answer may have to wait for the leader, too: then it is still the same one.
        let Ok(answer) = stage.ask_but(leader, "/api/v1/nodes") else { continue };
        let leads = |node: &serde_json::Value| node["leader"] == true && node["name"] != *leader;
        if answer.body.as_array().into_iter().flatten().any(leads) {
            return Ok(begin.elapsed());
        }
    }
    Err(Miss::new(format!("{leader} leads on, however slow it is, after {}", seconds(begin.elapsed()))))
}
