//! What a seed stands for: how large the world is, how it goes wrong, and for how long.

use std::time::Duration;

use crate::chance::{Chance, Purpose};
use crate::network::Weather;

/// The plan of a run.
#[derive(Debug, Clone)]
pub struct Scenario {
    /// What everything is drawn from.
    pub seed: u64,
    pub(crate) machines: usize,
    pub(crate) services: usize,
    /// Machines have little more than what is needed.
    pub(crate) is_tight: bool,
    /// Every service is a single copy.
    pub(crate) is_single: bool,
    /// People and faults act for this long.
    pub(crate) trouble: Duration,
    /// Between two commands, on average.
    pub(crate) command_every: Duration,
    /// Between two faults, on average; none without faults.
    pub(crate) fault_every: Option<Duration>,
    pub(crate) weather: Weather,
    /// In thousandths of all commits and all steps of an agent.
    pub(crate) crash_points: u64,
    /// What is lost of the store at the end, to see that nothing is killed for it.
    pub(crate) amnesia: Option<Amnesia>,
}

/// What a store has forgotten.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Amnesia {
    /// All of it, the cluster's identity too.
    Cluster,
    /// All records, but not who it is.
    Records,
    /// What people want.
    Tree,
    /// The kernel's tasks and agents.
    Kernel,
    /// The instances of services.
    Services,
}

impl Scenario {
    /// What `seed` stands for.
    #[must_use]
    pub fn draw(seed: u64) -> Self {
        let mut chance = Chance::new(seed, Purpose::Scenario);
        let is_calm = chance.is(100);
        let weather = match chance.below(4) {
            0 => Weather::CLEAR,
            1 => Weather { lost: 20, repeated: 20, late: 20 },
            2 => Weather { lost: 100, repeated: 100, late: 100 },
            _ => Weather { lost: 300, repeated: 200, late: 300 },
        };
        let all = [Amnesia::Cluster, Amnesia::Records, Amnesia::Tree, Amnesia::Kernel, Amnesia::Services];
        let is_tight = chance.is(500);
        Self {
            seed,
            is_tight,
            is_single: false,
            machines: 2 + chance.index(5),
            services: 1 + chance.index(if is_tight { 2 } else { 4 }),
            trouble: Duration::from_secs(60 + chance.below(180)),
            command_every: Duration::from_secs(1 + chance.below(30)),
            fault_every: (!is_calm).then(|| Duration::from_secs(1 + chance.below(20))),
            weather: if is_calm { Weather::CLEAR } else { weather },
            crash_points: match chance.below(4) {
                _ if is_calm => 0,
                0 => chance.below(60),
                _ => chance.below(8),
            },
            amnesia: chance.is(300).then(|| all[chance.index(all.len())]),
        }
    }
    /// Single copies alone, which live for a while, on a wire on which most words are late, among faults that never rest.
    #[must_use]
    pub fn of_single_copies(seed: u64) -> Self {
        let mut chance = Chance::new(seed, Purpose::Scenario);
        Self {
            is_tight: false,
            is_single: true,
            machines: 3 + chance.index(4),
            services: 4,
            trouble: Duration::from_secs(240),
            command_every: Duration::from_secs(20 + chance.below(60)),
            fault_every: Some(Duration::from_secs(2 + chance.below(8))),
            weather: Weather { lost: chance.below(200), repeated: 100, late: 400 + chance.below(500) },
            ..Self::draw(seed)
        }
    }
}
