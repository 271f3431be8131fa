//! All nodes are restarted with another build, one after the other, under load; and back.

use std::time::Duration;

use super::{Row, seconds};
use crate::campaign::{Miss, Stage};
use crate::cluster::{Fault, Role};

pub(super) const ROW: Row =
    Row { name: "upgrade", promises: "G6 G7 G8 G17", shape: super::as_planned, play, back: super::BACK };

/// Until the first write is acknowledged after one has ended in good order.
const GOAL: Duration = Duration::from_secs(2);

fn play(stage: &mut Stage) -> Result<String, Miss> {
    let tasks = stage.tasks()?;
    // Users ask through the last agent, and its router is away while it restarts: the others are enough.
    let agents = stage.names(Role::Agent);
    let (_, agents) = agents.split_last().ok_or_else(|| Miss::new("there is no agent"))?;
    let own = stage.bed.record().directory.join("bin/kogge");
    let mut worst = Duration::ZERO;
    for program in [stage.other.clone(), own] {
        for node in stage.names(Role::Server).iter().chain(agents) {
            let ended = stage.fault(node, &Fault::Restart { program: Some(program.clone()) })?;
            worst = worst.max(stage.first_write(ended, GOAL)?);
            stage.settle(super::BACK)?;
        }
        stage.untouched(&tasks)?;
    }
    Ok(format!("there and back, first write at worst after {}", seconds(worst)))
}
