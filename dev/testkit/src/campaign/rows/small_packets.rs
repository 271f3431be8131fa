//! The leader's link carries small packets only, and nobody is told (a wrong MTU on the way): signs of life get through, and
//! nothing can be changed at the other servers. It must give way by itself.

use std::time::{Duration, Instant};

use super::leader_unheard::{ready, replaced};
use super::{Row, seconds};
use crate::campaign::{Miss, Stage};
use crate::cluster::Fault;

pub(super) const ROW: Row = Row {
    name: "small-packets",
    promises: "G1 G7 G8 G11 G27",
    shape: super::as_planned,
    play,
    back: super::BACK,
};

/// Words of the cluster pass, with which a session begins do not.
const LARGEST_BYTES: u16 = 600;
/// Until another one leads: a large packet is due every ten seconds, and a link that is silent then is given up after
/// seven.
const GOAL: Duration = Duration::from_secs(25);

fn play(stage: &mut Stage) -> Result<String, Miss> {
    let (leader, tasks) = (stage.leader()?, stage.tasks()?);
    stage.fault(&leader, &Fault::Packets(LARGEST_BYTES))?;
    let narrowed = Instant::now();
    let another = replaced(stage, &leader, narrowed, GOAL)?;
    stage.first_write(Instant::now(), super::BACK)?;
    ready(stage, &leader)?;
    stage.untouched(&tasks)?;
    stage.fault(&leader, &Fault::Heal)?;
    Ok(format!("another one leads after {}", seconds(another)))
}
