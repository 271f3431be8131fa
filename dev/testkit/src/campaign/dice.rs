//! Chance that is the same again with the same seed.

use std::time::Duration;

/// A generator of numbers (SplitMix64, <https://prng.di.unimi.it/splitmix64.c>).
#[derive(Debug, Clone)]
pub struct Dice(u64);

impl Dice {
    /// Always the same for a seed.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `end`, which is more than 0.
    pub fn below(&mut self, end: usize) -> usize {
        let end = u64::try_from(end).expect("a count fits");
        usize::try_from(self.next() % end).expect("it is less than a count")
    }

    /// One of them; there is at least one.
    pub fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len())]
    }

    /// Another order.
    pub fn shuffle<T>(&mut self, list: &mut [T]) {
        for at in (1..list.len()).rev() {
            list.swap(at, self.below(at + 1));
        }
    }

    /// From `least` to `most`; short ones are as likely as long ones, whatever their unit.
    pub fn span(&mut self, least: Duration, most: Duration) -> Duration {
        let (least, most) = (least.as_secs_f64().ln(), most.as_secs_f64().ln());
        let share = f64::from(u16::try_from(self.below(1001)).expect("below 1001")) / 1000.0;
        Duration::from_secs_f64((least + (most - least) * share).exp())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_is_a_story() {
        let told = |seed| {
            let mut dice = Dice::new(seed);
            let mut order: Vec<usize> = (0..8).collect();
            dice.shuffle(&mut order);
            let span = dice.span(Duration::from_millis(300), Duration::from_secs(60));
            assert!((Duration::from_millis(299)..Duration::from_secs(61)).contains(&span), "{span:?}");
            (order, span)
        };
        assert_eq!(told(7), told(7));
        assert_ne!(told(7), told(8));
    }
}
