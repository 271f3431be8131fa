//! Chance from a seed: one generator for each purpose, so that one more draw here shifts nothing there.

use std::time::Duration;

use rand_chacha::ChaCha8Rng;
use rand_core::{Rng as _, SeedableRng as _};

/// What a generator is for.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Purpose {
    /// How large the world is and how it goes wrong.
    Scenario = 1,
    /// What happens to messages.
    Network = 2,
    /// What containers do.
    Containers = 3,
    /// What people do.
    People = 4,
    /// When and how machines and servers fail.
    Faults = 5,
    /// Where processes crash in the middle of something.
    CrashPoints = 6,
    /// Seeds of the cores themselves.
    Cores = 7,
    /// What operators say of machines.
    Operators = 8,
}

/// One generator.
#[derive(Debug, Clone)]
pub(crate) struct Chance(ChaCha8Rng);

impl Chance {
    pub(crate) fn new(seed: u64, purpose: Purpose) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(purpose as u64);
        Self(rng)
    }

    /// A number from 0 to `end` - 1.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.0.next_u64() % end.max(1)
    }

    /// An index into something with `len` things.
    pub(crate) fn index(&mut self, len: usize) -> usize {
        usize::try_from(self.below(len as u64)).expect("an index fits")
    }

    /// From `low` to `high`, both included.
    pub(crate) fn number(&mut self, low: u32, high: u32) -> u32 {
        low + u32::try_from(self.below(u64::from(high - low) + 1)).expect("it lies between two u32")
    }

    /// True in `permille` of 1000 cases.
    pub(crate) fn is(&mut self, permille: u64) -> bool {
        self.below(1000) < permille
    }

    /// A duration between two.
    pub(crate) fn millis(&mut self, low: u64, high: u64) -> Duration {
        Duration::from_micros(low * 1000 + self.below((high.max(low) - low) * 1000 + 1))
    }

    /// A seed for something that has its own generator.
    pub(crate) fn seed(&mut self) -> [u8; 32] {
        let mut seed = [0; 32];
        self.0.fill_bytes(&mut seed);
        seed
    }
}
