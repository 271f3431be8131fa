//! What goes wrong, beside the wire.

use std::time::Duration;

use crate::chance::Chance;
use crate::network::Way;

/// One mishap.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Fault {
    ServerCrash {
        down: Duration,
    },
    ServerPause {
        pause: Duration,
    },
    AgentCrash {
        machine: usize,
        down: Duration,
    },
    AgentPause {
        machine: usize,
        pause: Duration,
    },
    /// Nothing that runs survives.
    PowerLoss {
        machine: usize,
        down: Duration,
    },
    /// It never comes back.
    Gone {
        machine: usize,
    },
    Cut {
        machine: usize,
        way: Option<Way>,
        time: Duration,
    },
    LinkFlap {
        machine: usize,
    },
    ContainerCrash {
        machine: usize,
    },
    ShimDeath {
        machine: usize,
    },
    /// Health checks fail for a while though the process runs.
    Illness {
        machine: usize,
        time: Duration,
    },
}

/// Short most times, and now and then longer than any patience.
fn outage(chance: &mut Chance) -> Duration {
    match chance.below(10) {
        0..5 => chance.millis(1, 2_500),
        5..9 => chance.millis(2_500, 15_000),
        _ => chance.millis(15_000, 90_000),
    }
}

/// What single copies have to fear: an agent that stands still while words are under way to it, and wakes cut off.
pub(crate) fn stall(chance: &mut Chance, machines: usize) -> [Fault; 2] {
    let machine = chance.index(machines);
    let (pause, time) = (chance.millis(1_000, 8_000), chance.millis(15_000, 40_000));
    [Fault::AgentPause { machine, pause }, Fault::Cut { machine, way: None, time }]
}

pub(crate) fn draw(chance: &mut Chance, machines: usize) -> Fault {
    let machine = chance.index(machines);
    match chance.below(24) {
        0..3 => Fault::ServerCrash { down: outage(chance) },
        3 => Fault::ServerPause { pause: outage(chance) },
        4..8 => Fault::AgentCrash { machine, down: outage(chance) },
        8 => Fault::AgentPause { machine, pause: outage(chance) },
        9 | 10 => Fault::PowerLoss { machine, down: Duration::from_secs(5) + outage(chance) },
        // Two machines always remain, so that there is somewhere to go.
        11 if machine >= 2 => Fault::Gone { machine },
        11..15 => {
            let way = [None, Some(Way::ToServer), Some(Way::ToAgent)][chance.index(3)];
            Fault::Cut { machine, way, time: outage(chance) }
        }
        15 => Fault::LinkFlap { machine },
        16..20 => Fault::ContainerCrash { machine },
        20 => Fault::ShimDeath { machine },
        _ => Fault::Illness { machine, time: outage(chance) },
    }
}
