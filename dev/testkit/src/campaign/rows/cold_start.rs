//! The power fails everywhere, and machines start again in any order.

use std::time::{Duration, Instant};

use super::{Row, seconds};
use crate::campaign::{Miss, Stage};
use crate::cluster::{Fault, Role};

/// After a loss of power everywhere, half a minute is promised.
pub(super) const ROW: Row = Row {
    name: "cold-start",
    promises: "G1 G27",
    shape: super::as_planned,
    play,
    back: Duration::from_secs(30),
};

fn play(stage: &mut Stage) -> Result<String, Miss> {
    let mut all: Vec<String> =
        [Role::Agent, Role::Server, Role::Engine].iter().flat_map(|role| stage.names(*role)).collect();
    // There is nobody who could answer.
    stage.forgive(Duration::from_secs(120));
    for node in &all {
        stage.fault(node, &Fault::Kill { with_tasks: true })?;
    }
    stage.dice.shuffle(&mut all);
    let begin = Instant::now();
    for node in &all {
        stage.fault(node, &Fault::Restart { program: None })?;
    }
    let started = begin.elapsed();
    let took = stage.first_write(Instant::now(), Duration::from_secs(30))?;
    Ok(format!("started in {} ({}), first write after {}", seconds(started), all.join(" "), seconds(took)))
}
