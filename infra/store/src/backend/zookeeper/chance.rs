//! Names that nobody else uses, and waits that nobody else waits.

use std::time::Duration;

use kogge_host::seed;

/// A generator for names and jitter; not for secrets.
#[derive(Debug, Clone)]
pub(super) struct Chance([u64; 2]);

impl Chance {
    /// With a seed from the kernel.
    pub(super) fn draw() -> Self {
        let seed = seed::draw().expect("the kernel's generator can be read");
        let half = |at: usize| {
            let bytes = seed[at..at + 8].try_into().expect("eight bytes are eight bytes");
            u64::from_le_bytes(bytes)
        };
        Self([half(0) | 1, half(8)])
    }

    /// xorshift128+ (Vigna, 2014).
    fn next(&mut self) -> u64 {
        let [mut x, y] = self.0;
        x ^= x << 23;
        let z = x ^ y ^ (x >> 17) ^ (y >> 26);
        self.0 = [y, z];
        z.wrapping_add(y)
    }

    /// A name for something that is made once.
    pub(super) fn name(&mut self) -> u128 {
        u128::from(self.next()) << 64 | u128::from(self.next())
    }

    /// Between half of `wait` and all of it.
    pub(super) fn jitter(&mut self, wait: Duration) -> Duration {
        let part = u32::try_from(self.next() % 1024).expect("a small number fits");
        wait / 2 + wait / 2 * part / 1024
    }

    /// An order for `items`.
    pub(super) fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            let bound = u64::try_from(last + 1).expect("lengths fit");
            let other = usize::try_from(self.next() % bound).expect("it is below a length");
            items.swap(last, other);
        }
    }
}
