//! Links that lose packets, that of the leader and that of an agent: slower, and nothing is given up.

use std::time::{Duration, Instant};

use super::{Row, linger, seconds};
use crate::campaign::{Miss, Stage};
use crate::cluster::Fault;

pub(super) const ROW: Row =
    Row { name: "lossy-links", promises: "G1 G7 G27", shape: super::as_planned, play, back: super::BACK };

const SPAN: Duration = Duration::from_secs(20);
/// Between two writes that are acknowledged.
const GOAL: Duration = Duration::from_secs(6);

fn play(stage: &mut Stage) -> Result<String, Miss> {
    let (leader, tasks) = (stage.leader()?, stage.tasks()?);
    let share = 2 + stage.dice.below(9);
    let loss = share.to_string().parse().map_err(Miss::new)?;
    for node in [leader.as_str(), "a1"] {
        stage.fault(node, &Fault::Loss(loss))?;
    }
    let (begin, mut worst) = (Instant::now(), Duration::ZERO);
    while begin.elapsed() < SPAN {
        worst = worst.max(stage.first_write(Instant::now(), GOAL)?);
        linger(Duration::from_millis(200));
    }
    stage.untouched(&tasks)?;
    for node in [leader.as_str(), "a1"] {
        stage.fault(node, &Fault::Heal)?;
    }
    Ok(format!("{share} % lost by {leader} and a1, writes at worst after {}", seconds(worst)))
}
