//! Links that carry only one way: of the leader, then of an agent.

use std::time::Duration;

use super::{Row, linger, seconds};
use crate::campaign::{Miss, Stage};
use crate::cluster::{Direction, Fault};

pub(super) const ROW: Row =
    Row { name: "one-way", promises: "G1 G4 G8 G27", shape: super::as_planned, play, back: super::BACK };

const LEADER: Duration = Duration::from_secs(10);
/// So short that no agent is given up.
const AGENT: Duration = Duration::from_secs(3);
const GOAL: Duration = Duration::from_secs(6);

fn play(stage: &mut Stage) -> Result<String, Miss> {
    let (tasks, mut told) = (stage.tasks()?, Vec::new());
    for way in Direction::BOTH {
        let leader = stage.leader()?;
        let cut = stage.fault(&leader, &Fault::Cut { direction: Some(way), peer: None })?;
        let took = stage.first_write(cut, GOAL)?;
        linger(LEADER.saturating_sub(cut.elapsed()));
        stage.fault(&leader, &Fault::Heal)?;
        stage.settle(super::BACK)?;
        stage.fault("a1", &Fault::Cut { direction: Some(way), peer: None })?;
        linger(AGENT);
        stage.fault("a1", &Fault::Heal)?;
        stage.settle(super::BACK)?;
        told.push(format!("nothing {way}: first write after {}", seconds(took)));
    }
    stage.untouched(&tasks)?;
    Ok(told.join(", "))
}
