//! Faults of all kinds at any time, for a while; then none, and everything is well.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use super::{Row, linger};
use crate::campaign::{Miss, Stage};
use crate::cluster::{Direction, Fault, ProcessState, Role};

pub(super) const ROW: Row = Row {
    name: "storm",
    promises: "G1 G4 G7 G8 G27",
    shape: super::as_planned,
    play,
    back: Duration::from_secs(30),
};

const SPAN: Duration = Duration::from_secs(45);
/// Everything is well so soon after the last fault.
const SETTLING: Duration = Duration::from_secs(30);
/// From one look whether a server has ended to the next.
const LOOK: Duration = Duration::from_secs(1);
/// Between two faults.
const LULL: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(3));

fn play(stage: &mut Stage) -> Result<String, Miss> {
    let tasks = stage.tasks()?;
    // One member of the engine at a time, and servers as it comes.
    let mut prey = stage.names(Role::Server);
    prey.push(stage.dice.pick(&stage.names(Role::Engine)).clone());
    let begin = Instant::now();
    let mut count = 0;
    while begin.elapsed() < SPAN {
        let node = stage.dice.pick(&prey).clone();
        strike(stage, &node)?;
        count += 1;
        linger(stage.dice.span(LULL.0, LULL.1));
    }
    // The engine first.
    for node in prey.iter().rev() {
        recover(stage, node)?;
    }
    let raised = settle(stage)?;
    stage.untouched(&tasks)?;
    Ok(format!("{count} faults, {raised} servers that had ended were started again"))
}

/// Waits until everything is well. A server that was started while the engine had no majority has said so and ended, or
/// is about to: it is started again, as its service manager would do. Nothing is broken any more, so that once is enough.
fn settle(stage: &mut Stage) -> Result<usize, Miss> {
    let (begin, mut raised) = (Instant::now(), BTreeSet::new());
    loop {
        for server in stage.names(Role::Server) {
            if stage.bed.node(&server)?.state() != ProcessState::Gone {
                continue;
            }
            stage.fault(&server, &Fault::Restart { program: None })?;
            if !raised.insert(server.clone()) {
                return Err(Miss::new(format!("{server} ended again although nothing is broken")));
            }
        }
        match stage.settle(LOOK) {
            Ok(_) => return Ok(raised.len()),
            Err(miss) if begin.elapsed() > SETTLING => return Err(miss),
            Err(_) => {}
        }
    }
}

/// One thing that can happen to the node as it is now.
fn strike(stage: &mut Stage, node: &str) -> Result<(), Miss> {
    let state = stage.bed.node(node)?.state();
    let fault = match (state, stage.dice.below(6)) {
        (ProcessState::Gone, _) => Fault::Restart { program: None },
        (ProcessState::Paused, _) => Fault::Resume,
        (ProcessState::Running, 0) => Fault::Kill { with_tasks: false },
        (ProcessState::Running, 1) => Fault::Pause { with_tasks: false },
        (ProcessState::Running, 2) => Fault::Restart { program: None },
        (ProcessState::Running, 3) => Fault::Cut { direction: None, peer: None },
        (ProcessState::Running, 4) => {
            Fault::Cut { direction: Some(*stage.dice.pick(&Direction::BOTH)), peer: None }
        }
        (ProcessState::Running, _) => Fault::Heal,
    };
    stage.fault(node, &fault).map(drop)
}

fn recover(stage: &mut Stage, node: &str) -> Result<(), Miss> {
    stage.fault(node, &Fault::Heal)?;
    match stage.bed.node(node)?.state() {
        ProcessState::Running => Ok(()),
        ProcessState::Paused => stage.fault(node, &Fault::Resume).map(drop),
        ProcessState::Gone => stage.fault(node, &Fault::Restart { program: None }).map(drop),
    }
}
