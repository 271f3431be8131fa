//! When silent agents were last heard of: how many fell silent together is asked for each of them, of whom there may be
//! thousands.

use std::time::Duration;

use kogge_model::time::Timestamp;

use crate::agent::{Agent, Phase};

/// All silences at one moment, in order.
#[derive(Debug, Clone, Default)]
pub(crate) struct Silences {
    /// When it was so.
    pub(crate) made_at: Timestamp,
    /// Last words of all that are not ready, the lost ones among them.
    silent: Vec<Timestamp>,
    /// Last words of the lost ones.
    lost: Vec<Timestamp>,
    ready: usize,
    /// Agents that came back a moment ago.
    returning: usize,
    /// Agents that are not lost.
    living: usize,
}

impl Silences {
    /// `moment`: how long an agent that has come back counts among those that just do.
    pub(crate) fn of<'a>(now: Timestamp, moment: Duration, agents: impl Iterator<Item = &'a Agent>) -> Self {
        let mut silences = Self { made_at: now, ..Self::default() };
        for agent in agents {
            match agent.phase {
                Phase::Ready => {
                    let has_just = |at| now.saturating_since(at) < moment;
                    silences.ready += 1;
                    silences.returning += usize::from(agent.returned_at.is_some_and(has_just));
                }
                Phase::Suspect | Phase::Expected => silences.silent.push(agent.last_seen),
                Phase::Lost => {
                    silences.silent.push(agent.last_seen);
                    silences.lost.push(agent.last_seen);
                }
            }
        }
        silences.silent.sort_unstable();
        silences.lost.sort_unstable();
        silences.living = silences.ready + silences.silent.len() - silences.lost.len();
        silences
    }

    /// Whether any agent answers.
    pub(crate) const fn is_anybody_ready(&self) -> bool {
        self.ready > 0
    }

    /// How many have just come back, and of how many agents.
    pub(crate) const fn returning(&self) -> (usize, usize) {
        (self.returning, self.living)
    }

    /// How many fell silent within `window` of `at`, and of how many: those that are not lost, and those of the lost.
    pub(crate) fn together(&self, at: Timestamp, window: Duration) -> (usize, usize) {
        (near(&self.silent, at, window), self.living + near(&self.lost, at, window))
    }

    /// One that fell silent at `at` is given up.
    pub(crate) fn lose(&mut self, at: Timestamp) {
        self.living = self.living.saturating_sub(1);
        let place = self.lost.partition_point(|other| *other < at);
        self.lost.insert(place, at);
    }
}

fn near(words: &[Timestamp], at: Timestamp, window: Duration) -> usize {
    let before = words.partition_point(|other| at.saturating_since(*other) > window);
    let until = words.partition_point(|other| other.saturating_since(at) <= window);
    until - before
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_are_those_within_the_window_on_both_sides() {
        let words: Vec<Timestamp> = [1, 5, 5, 9, 15, 16].map(Timestamp::from_secs).into();
        let near = |at| near(&words, Timestamp::from_secs(at), Duration::from_secs(4));
        assert_eq!([0, 1, 5, 9, 12, 30].map(near), [1, 3, 4, 3, 3, 0]);
    }

    #[test]
    fn who_is_given_up_still_counts_among_those_who_fell_silent_with_it() {
        let at = Timestamp::from_secs(5);
        let mut silences = Silences {
            made_at: at,
            silent: vec![at; 3],
            lost: Vec::new(),
            ready: 7,
            returning: 0,
            living: 10,
        };
        let window = Duration::from_secs(1);
        assert_eq!(silences.together(at, window), (3, 10));
        silences.lose(at);
        assert_eq!(silences.together(at, window), (3, 10));
        assert_eq!(silences.together(Timestamp::from_secs(50), window), (0, 9));
    }
}
