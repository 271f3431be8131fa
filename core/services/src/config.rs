//! What can be set. The defaults are those of the guarantees' table.

use std::time::Duration;

use kogge_model::id::FrameworkId;
use kogge_model::scheduler::FrameworkInfo;

/// Settings of [`crate::Services`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// How it presents itself to the kernel.
    pub framework: FrameworkInfo,
    /// How long a crashed instance waits before it is started again.
    pub backoff: BackoffPolicy,
    /// Where there is no check to ask, an instance that has run for this long counts as healthy: one that ends right
    /// after its start must not push out those that serve.
    pub trial: Duration,
    /// A deployment gives up at this many ends of new instances in a row.
    pub crashes_to_give_up: u32,
    /// In a row means that none of the new ones had stayed healthy for this long by then.
    pub proven_after: Duration,
    /// A deployment gives up when agents refused its instances this many times in a row, for example because the
    /// image cannot be pulled.
    pub rejections_to_give_up: u32,
    /// A deployment gives up when this many new instances in a row were not healthy once within their grace.
    pub never_healthy_to_give_up: u32,
    /// An instance that is not running by then is killed and started again; long enough for a large image.
    pub start_limit: Duration,
    /// An instance that no offer came for in this time counts as without a place: full agents offer nothing, so its
    /// service may have to make room itself.
    pub offer_patience: Duration,
    /// So many instances are launched at once: the others have their turn right after that, but other words may be heard
    /// in between.
    pub launches_at_once: usize,
    /// An order to kill is said again after this long.
    pub kill_repeat: Duration,
    /// Offers that were of no use are not wanted again for this long, unless there is new work.
    pub refuse: Duration,
    /// After something changed that may make another place better for an instance, this passes before anybody looks.
    pub balance_delay: Duration,
    /// A service whose last move to a better place came to nothing is left in peace for this long.
    pub balance_rest: Duration,
    /// Surplus copies of a healed partition get at most this long to finish their requests (G10).
    pub surplus_drain: Duration,
}

/// `first`, then `factor` times longer each time up to `max`, each by ± `jitter_permille` longer or shorter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BackoffPolicy {
    /// After the first crash.
    pub first: Duration,
    /// From one to the next.
    pub factor: u32,
    /// Never more than this (before the jitter).
    pub max: Duration,
    /// In thousandths.
    pub jitter_permille: u32,
    /// An instance that was healthy for this long starts anew at `first`.
    pub reset_after: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            framework: FrameworkInfo {
                framework: FrameworkId::new("services"),
                name: "services".into(),
                weight_millis: 1_000,
                failover_ms: 7 * 24 * 3_600_000,
            },
            backoff: BackoffPolicy::default(),
            trial: Duration::from_millis(200),
            crashes_to_give_up: 5,
            proven_after: Duration::from_secs(10),
            rejections_to_give_up: 2,
            never_healthy_to_give_up: 2,
            start_limit: Duration::from_secs(30 * 60),
            offer_patience: Duration::from_secs(1),
            launches_at_once: 4_096,
            kill_repeat: Duration::from_secs(30),
            refuse: Duration::from_secs(5),
            balance_delay: Duration::from_secs(10),
            balance_rest: Duration::from_secs(10 * 60),
            surplus_drain: Duration::from_secs(5),
        }
    }
}

impl Default for BackoffPolicy {
    fn default() -> Self {
        Self {
            first: Duration::from_millis(500),
            factor: 2,
            max: Duration::from_secs(60),
            jitter_permille: 200,
            reset_after: Duration::from_secs(60),
        }
    }
}

impl BackoffPolicy {
    /// The wait after `crashes` in a row (at least 1), without jitter.
    #[must_use]
    pub fn delay(&self, crashes: u32) -> Duration {
        let factor = self.factor.checked_pow(crashes.saturating_sub(1)).unwrap_or(u32::MAX);
        self.first.checked_mul(factor).unwrap_or(self.max).min(self.max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_back_off_doubles_up_to_its_maximum() {
        let policy = BackoffPolicy::default();
        let millis: Vec<u128> = (1..=9).map(|crashes| policy.delay(crashes).as_millis()).collect();
        assert_eq!(millis, [500, 1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000]);
        assert_eq!(policy.delay(u32::MAX), policy.max);
    }
}
