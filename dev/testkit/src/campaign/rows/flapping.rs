//! The link of the leader comes and goes, and then that of an agent.

use std::time::{Duration, Instant};

use super::{Row, linger, seconds};
use crate::campaign::{Miss, Stage};
use crate::cluster::Fault;

pub(super) const ROW: Row =
    Row { name: "flapping-link", promises: "G1 G7 G27", shape: super::as_planned, play, back: super::BACK };

/// The link of an agent is up for moments only, and TCP's waits, which double, meet none of them for seconds.
pub(super) const MOMENTS: Row = Row { name: "link-in-moments", play: play_moments, ..ROW };

const TIMES: usize = 8;
/// Up and down in turns, between an agent's words as a rule.
const MOMENT: Duration = Duration::from_millis(500);
const BETWEEN: Duration = Duration::from_millis(1_900);

fn play(stage: &mut Stage) -> Result<String, Miss> {
    let (leader, tasks) = (stage.leader()?, stage.tasks()?);
    let (mut up, mut down) = (Duration::ZERO, Duration::ZERO);
    for node in [leader.as_str(), "a1"] {
        for _ in 0..TIMES {
            let cut = stage.dice.span(Duration::from_millis(100), Duration::from_secs(2));
            if node == "a1" {
                // The kernel of an instance sends a lost answer again after waits that double: none of them may meet a
                // time when the link is up for as long as a user waits.
                stage.forgive(cut);
            }
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

fn play_moments(stage: &mut Stage) -> Result<String, Miss> {
    let tasks = stage.tasks()?;
    for _ in 0..TIMES {
        stage.forgive(BETWEEN);
        stage.fault("a1", &Fault::Cut { direction: None, peer: None })?;
        linger(BETWEEN);
        stage.fault("a1", &Fault::Heal)?;
        linger(MOMENT);
    }
    stage.node_is("a1", "ready", super::BACK)?;
    stage.untouched(&tasks)?;
    Ok(format!("a1: up for {} of {}", seconds(MOMENT), seconds(MOMENT + BETWEEN)))
}
