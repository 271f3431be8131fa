//! Agents that are there must not be given up, however many packets get lost (a whole day of ten thousand: `make bench
//! ONLY=day`).

use std::time::Duration;

use kogge_sim::Backoff;
use kogge_sim::day::{Day, Evening, live};

const DAY: Day = Day {
    seed: 1,
    agents: 300,
    instances: 3_000,
    time: Duration::from_secs(2 * 3600),
    lost_permille: 50,
    backoff: Backoff::Thin,
};

fn replaced(evening: &Evening) -> u64 {
    evening.starts - u64::from(DAY.instances)
}

#[test]
fn g27_agents_on_lossy_links_are_not_given_up() {
    let evening = live(DAY);
    assert_eq!((evening.given_up, replaced(&evening)), (0, 0), "{evening:?}");
    assert!(evening.heartbeats > 300 * 7_100, "all of them gave signs of life all the time: {evening:?}");
    assert!(evening.longest_silence > Duration::from_millis(1_500), "packets were lost: {evening:?}");
}

#[test]
fn streams_that_wait_twice_as_long_after_each_loss_would_have_cost_tasks() {
    let evening = live(Day { lost_permille: 150, backoff: Backoff::Doubling, ..DAY });
    assert!(evening.given_up > 0 && replaced(&evening) > 0, "{evening:?}");
    let evening = live(Day { lost_permille: 150, ..DAY });
    assert_eq!((evening.given_up, replaced(&evening)), (0, 0), "{evening:?}");
}
