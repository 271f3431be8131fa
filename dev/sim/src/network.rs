//! The wire between server and agents: loses, repeats, delays and reorders.

use std::collections::BTreeMap;
use std::time::Duration;

use kogge_model::time::Timestamp;

use crate::chance::Chance;

/// How bad the wire is, in thousandths of all messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Weather {
    pub(crate) lost: u64,
    pub(crate) repeated: u64,
    /// Delayed by up to [`LONGEST_DELAY_MS`] instead of some milliseconds.
    pub(crate) late: u64,
}

impl Weather {
    pub(crate) const CLEAR: Self = Self { lost: 0, repeated: 0, late: 0 };
}

/// No message is later than this. The cores conclude nothing from a registration that leaves a task out before this
/// time is over.
pub(crate) const LONGEST_DELAY_MS: u64 = 3_000;

/// Which way a message goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Way {
    ToServer,
    ToAgent,
}

/// All wires.
#[derive(Debug, Clone)]
pub(crate) struct Network {
    pub(crate) weather: Weather,
    chance: Chance,
    /// Cut until then.
    cuts: BTreeMap<(usize, Way), Timestamp>,
}

impl Network {
    pub(crate) const fn new(chance: Chance) -> Self {
        Self { weather: Weather::CLEAR, chance, cuts: BTreeMap::new() }
    }

    pub(crate) fn cut(&mut self, machine: usize, way: Way, until: Timestamp) {
        let cut = self.cuts.entry((machine, way)).or_insert(until);
        *cut = (*cut).max(until);
    }

    pub(crate) fn mend(&mut self) {
        self.cuts.clear();
        self.weather = Weather::CLEAR;
    }

    /// The delays after which a message arrives: none when it is lost, several when it is repeated.
    pub(crate) fn deliveries(&mut self, now: Timestamp, machine: usize, way: Way) -> Vec<Duration> {
        if self.cuts.get(&(machine, way)).is_some_and(|until| *until > now)
            || self.chance.is(self.weather.lost)
        {
            return vec![];
        }
        let copies = if self.chance.is(self.weather.repeated) { 2 } else { 1 };
        (0..copies)
            .map(|_| {
                let longest = if self.chance.is(self.weather.late) { LONGEST_DELAY_MS } else { 3 };
                self.chance.millis(0, longest) + Duration::from_micros(100)
            })
            .collect()
    }
}
