//! The link of the leader comes and goes, and then that of an agent.

use std::time::{Duration, Instant};

use super::{Row, linger, seconds};
use crate::campaign::{Miss, Stage};
use crate::cluster::Fault;

pub(super) const ROW: Row =
    Row { name: "flapping-link", promises: "G1 G7 G27", shape: super::as_planned, play, back: super::BACK };

const TIMES: usize = 8;

fn play(stage: &mut Stage) -> Result<String, Miss> {
    let (leader, tasks) = (stage.leader()?, stage.tasks()?);
    let (mut up, mut down) = (Duration::ZERO, Duration::ZERO);
    for node in [leader.as_str(), "a1"] {
        for _ in 0..TIMES {
            let cut = stage.dice.span(Duration::from_millis(100), Duration::from_secs(2));
            stage.fault(node, &Fault::Cut { direction: None, peer: None })?;
            linger(cut);
            stage.fault(node, &Fault::Heal)?;
            let healed = stage.dice.span(Duration::from_millis(100), Duration::from_secs(2));
            linger(healed);
            (up, down) = (up + healed, down + cut);
        }
    }
    let took = stage.first_write(Instant::now(), super::BACK)?;
    stage.untouched(&tasks)?;
    Ok(format!(
        "{leader}, then a1: {} down, {} up; first write after {}",
        seconds(down),
        seconds(up),
        seconds(took)
    ))
}
