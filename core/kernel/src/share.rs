//! Dominant resource fairness as a numeric puzzle: who has the smallest share gets the next offer.
//!
//! A framework's share is the largest fraction it holds of any one resource, divided by its weight (Ghodsi et al.,
//! "Dominant Resource Fairness", NSDI 2011). Offers count as held, as in Mesos.

use crate::quantity::Quantities;

/// Billionths of the whole, by weight. Comparable between frameworks of one cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Share(u128);

impl Share {
    /// The share of one that holds `held` of `whole` with a weight in thousandths.
    pub(crate) fn of(held: &Quantities, whole: &Quantities, weight_millis: u64) -> Self {
        let fraction = |part: u64, all: u64| u128::from(part) * 1_000_000_000 / u128::from(all.max(1));
        let dominant = fraction(held.cpu_millis.0, whole.cpu_millis.0)
            .max(fraction(held.mem_bytes.0, whole.mem_bytes.0))
            .max(fraction(held.disk_bytes.0, whole.disk_bytes.0));
        Self(dominant * 1000 / u128::from(weight_millis.max(1)))
    }
}

#[cfg(test)]
mod tests {
    use kogge_model::resources::{Bytes, CpuMillis};

    use super::*;

    const fn quantities(cpu: u64, mem: u64) -> Quantities {
        Quantities { cpu_millis: CpuMillis(cpu), mem_bytes: Bytes(mem), disk_bytes: Bytes(0) }
    }

    #[test]
    fn the_largest_fraction_of_any_resource_counts() {
        let whole = quantities(9_000, 18);
        let many_cpus = Share::of(&quantities(3_000, 1), &whole, 1000);
        let much_memory = Share::of(&quantities(1_000, 8), &whole, 1000);
        assert!(many_cpus < much_memory);
    }

    #[test]
    fn twice_the_weight_may_hold_twice_as_much() {
        let whole = quantities(1_000, 1_000);
        assert_eq!(
            Share::of(&quantities(100, 0), &whole, 1000),
            Share::of(&quantities(200, 0), &whole, 2000)
        );
    }
}
