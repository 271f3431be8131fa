//! The engine loses one member, then its majority, and gets both back: without it, writes are refused with a reason and
//! everything else goes on.

use std::time::Duration;

use super::{Row, linger, seconds};
use crate::campaign::{Miss, Stage};
use crate::cluster::{Fault, Role};

pub(super) const ROW: Row =
    Row { name: "engine-away", promises: "G1 G4 G7 G27", shape: super::as_planned, play, back: super::BACK };

/// A member more or less is noticed, but not for long.
const NOTICED: Duration = Duration::from_secs(6);
const AWAY: Duration = Duration::from_secs(10);

fn play(stage: &mut Stage) -> Result<String, Miss> {
    let tasks = stage.tasks()?;
    let mut members = stage.names(Role::Engine);
    stage.dice.shuffle(&mut members);
    let (first, second) = (members[0].clone(), members[1].clone());
    let one = stage.fault(&first, &Fault::Kill { with_tasks: false })?;
    let without_one = stage.first_write(one, NOTICED)?;
    let majority = stage.fault(&second, &Fault::Kill { with_tasks: false })?;
    linger(AWAY.saturating_sub(majority.elapsed()));
    // All that is said by then is said without an engine.
    let refusals = stage.register.refusals(majority + AWAY / 2);
    if !refusals.iter().any(|said| said.contains("503 ")) {
        return Err(Miss::new(format!("writes are not refused with a reason: {}", refusals.join("; "))));
    }
    tasks.alive()?;
    let back = stage.fault(&second, &Fault::Restart { program: None })?;
    let took = stage.first_write(back, super::BACK)?;
    stage.fault(&first, &Fault::Restart { program: None })?;
    stage.settle(super::BACK)?;
    stage.untouched(&tasks)?;
    Ok(format!(
        "without {first}: first write after {}; majority back: after {}",
        seconds(without_one),
        seconds(took)
    ))
}
