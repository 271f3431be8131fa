//! Wall clocks that are wrong by an hour, there and back: of the leader, of an agent. Nothing is judged by them.

use std::time::{Duration, Instant};

use super::{Row, linger, seconds};
use crate::campaign::{Miss, Stage};
use crate::cluster::{Fault, Plan};

pub(super) const ROW: Row = Row { name: "wrong-clock", promises: "G4 G7", shape, play, back: super::BACK };

const SPAN: Duration = Duration::from_secs(6);
const GOAL: Duration = Duration::from_secs(6);

fn shape(plan: &mut Plan) {
    plan.has_clocks = true;
}

fn play(stage: &mut Stage) -> Result<String, Miss> {
    let (leader, tasks, mut worst) = (stage.leader()?, stage.tasks()?, Duration::ZERO);
    for node in [leader.as_str(), "a1"] {
        for shift in ["+1h", "-1h"] {
            stage.fault(node, &Fault::Clock(shift.parse().map_err(Miss::new)?))?;
            worst = worst.max(stage.first_write(Instant::now(), GOAL)?);
            linger(SPAN);
            stage.settle(super::BACK)?;
            tasks.alive()?;
        }
        stage.fault(node, &Fault::Heal)?;
    }
    stage.untouched(&tasks)?;
    Ok(format!("{leader}, then a1, first write at worst after {}", seconds(worst)))
}
