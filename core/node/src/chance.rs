//! Chance from a seed: one generator for each purpose, so that one more draw here shifts nothing there.

use std::time::Duration;

use rand_chacha::ChaCha8Rng;
use rand_core::{Rng as _, SeedableRng as _};

/// The generators of one node.
#[derive(Debug, Clone)]
pub(crate) struct Chance {
    pub(crate) probes: Jitter,
    pub(crate) sends: Jitter,
    pub(crate) tickets: Tickets,
}

/// Numbers that no other process has drawn.
#[derive(Debug, Clone)]
pub(crate) struct Tickets(ChaCha8Rng);

/// Makes waits uneven, so that many nodes do not act in step.
#[derive(Debug, Clone)]
pub(crate) struct Jitter(ChaCha8Rng);

impl Chance {
    pub(crate) fn new(seed: [u8; 32]) -> Self {
        let stream = |number| {
            let mut rng = ChaCha8Rng::from_seed(seed);
            rng.set_stream(number);
            rng
        };
        Self { probes: Jitter(stream(1)), sends: Jitter(stream(2)), tickets: Tickets(stream(3)) }
    }
}

impl Tickets {
    pub(crate) fn draw(&mut self) -> u64 {
        self.0.next_u64()
    }
}

impl Jitter {
    /// `wait` or up to a tenth less, never more: promised times stay kept.
    pub(crate) fn shorten(&mut self, wait: Duration) -> Duration {
        let permille_off = self.0.next_u32() % 101;
        wait * (1_000 - permille_off) / 1_000
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_are_shortened_by_at_most_a_tenth_and_differ() {
        let mut jitter = Chance::new([7; 32]).probes;
        let waits: Vec<Duration> = (0..50).map(|_| jitter.shorten(Duration::from_secs(1))).collect();
        assert!(waits.iter().all(|wait| (900..=1_000).contains(&wait.as_millis())));
        assert!(waits.windows(2).any(|pair| pair[0] != pair[1]));
    }
}
