//! The disk of the leader is full: what it holds goes on, and is the same when there is room again.

use std::time::{Duration, Instant};

use super::{Row, linger, seconds};
use crate::campaign::{Miss, Stage};
use crate::cluster::{Fault, Plan, Role};

pub(super) const ROW: Row = Row { name: "disk-full", promises: "G7 G24 G27", shape, play, back: super::BACK };

/// Room for images and logs, and for no more.
const DISK_MIB: u64 = 128;
const FULL: Duration = Duration::from_secs(8);
const GOAL: Duration = Duration::from_secs(6);

fn shape(plan: &mut Plan) {
    plan.disks = (1..=plan.servers).map(|number| (format!("s{number}"), DISK_MIB)).collect();
}

fn play(stage: &mut Stage) -> Result<String, Miss> {
    let (leader, tasks) = (stage.leader()?, stage.tasks()?);
    let filled = stage.fault(&leader, &Fault::Fill)?;
    // The state lies at the engine: a server needs no room to lead, nor to start.
    let took = stage.first_write(filled, GOAL)?;
    linger(FULL.saturating_sub(filled.elapsed()));
    let other = stage.names(Role::Server).into_iter().find(|name| *name != leader);
    let other = other.ok_or_else(|| Miss::new("there is one server only"))?;
    stage.fault(&other, &Fault::Fill)?;
    stage.fault(&other, &Fault::Restart { program: None })?;
    stage.fault(&leader, &Fault::Kill { with_tasks: false })?;
    linger(Duration::from_secs(1));
    stage.fault(&leader, &Fault::Restart { program: None })?;
    stage.fault(&leader, &Fault::Heal)?;
    stage.fault(&other, &Fault::Heal)?;
    for server in [&leader, &other] {
        // Whoever could not start says so and ends; with room, it starts.
        if !stage.bed.node(server)?.process().is_some_and(|process| process.is_alive()) {
            stage.fault(server, &Fault::Restart { program: None })?;
        }
    }
    let again = stage.first_write(Instant::now(), GOAL)?;
    stage.untouched(&tasks)?;
    Ok(format!("first write on a full disk after {}, with room after {}", seconds(took), seconds(again)))
}
