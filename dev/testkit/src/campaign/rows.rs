//! All rows, one file each.

mod agent_and_shims_killed;
mod agent_disk_full;
mod agent_isolated;
mod agent_killed;
mod cold_start;
mod disk_full;
mod engine_away;
mod flapping;
mod herd;
mod leader_isolated;
mod leader_killed;
mod leader_paused;
mod leader_slow;
mod leader_unheard;
mod leaders_in_turn;
mod lossy_links;
mod machine_lost;
mod narrow_links;
mod one_way;
mod servers_down;
mod single_copy;
mod small_packets;
mod step_down;
mod storm;
mod upgrade;
mod wrong_clock;
mod wrong_state;

use std::time::Duration;

pub use super::Row;
use super::Stage;
use crate::cluster::{Engine, Plan};

/// All of them.
pub const ALL: &[Row] = &[
    leader_killed::ROW,
    leader_paused::ROW,
    leader_slow::ROW,
    leader_isolated::ROW,
    leader_unheard::ROW,
    leaders_in_turn::ROW,
    herd::ROW,
    step_down::ROW,
    agent_killed::ROW,
    agent_and_shims_killed::ROW,
    agent_isolated::ROW,
    agent_isolated::LONG,
    machine_lost::ROW,
    servers_down::ROW,
    engine_away::ROW,
    single_copy::ROW,
    one_way::ROW,
    flapping::ROW,
    flapping::MOMENTS,
    lossy_links::ROW,
    narrow_links::ROW,
    small_packets::ROW,
    wrong_clock::ROW,
    upgrade::ROW,
    wrong_state::ROW,
    disk_full::ROW,
    agent_disk_full::ROW,
    cold_start::ROW,
    storm::ROW,
];

/// The row of that name.
#[must_use]
pub fn named(name: &str) -> Option<&'static Row> {
    ALL.iter().find(|row| row.name == name)
}

/// The row with many simulated agents.
pub(super) const HERD: &str = herd::ROW.name;

/// Normal service is back so long after the end of a fault (G27).
const BACK: Duration = Duration::from_secs(10);

/// Nothing beside what all have.
const fn as_planned(_: &mut Plan) {}

/// With ZooKeeper a dead leader is replaced when its session has ended, which nobody can end for it.
fn takeover(stage: &Stage, goal: Duration) -> Duration {
    const SESSION: Duration = Duration::from_secs(4);
    if stage.engine == Engine::ZooKeeper { goal + SESSION } else { goal }
}

/// A fault lasts as long as it is said to last: this is no wait for something.
fn linger(span: Duration) {
    std::thread::sleep(span);
}

fn seconds(span: Duration) -> String {
    format!("{:.2} s", span.as_secs_f64())
}
