//! The seeds that every change has to survive. More by hand: `cargo run -rp kogge-sim -- --seeds N --from S`,
//! with `--single` for single copies alone.

use kogge_sim::{Scenario, Trick, run};

const SEEDS: u64 = 400;

fn survive(scenarios: impl Iterator<Item = Scenario>) {
    for scenario in scenarios {
        if let Err(failure) = run(&scenario, Trick::None) {
            panic!("{failure}");
        }
    }
}

#[test]
fn clusters_settle_and_nothing_is_lost_doubled_or_over_committed() {
    survive((0..SEEDS).step_by(2).map(Scenario::draw));
}

#[test]
fn the_other_half_of_the_seeds_does_too() {
    survive((1..SEEDS).step_by(2).map(Scenario::draw));
}

#[test]
fn g9_single_copies_stay_single_though_their_agents_stand_still_and_wake_cut_off() {
    survive((0..SEEDS).map(Scenario::of_single_copies));
}

#[test]
fn a_seed_decides_everything() {
    for seed in [3, 4, 5] {
        let once = run(&Scenario::draw(seed), Trick::None).ok();
        assert!(once.is_some_and(|tally| tally.starts > 0 && tally.events > 1_000));
        assert_eq!(once, run(&Scenario::draw(seed), Trick::None).ok());
    }
}

#[test]
fn the_seeds_are_not_peaceful() {
    let tallies: Vec<_> = (0..40).filter_map(|seed| run(&Scenario::draw(seed), Trick::None).ok()).collect();
    let sum = |of: fn(&kogge_sim::Tally) -> u64| tallies.iter().map(of).sum::<u64>();
    assert!(sum(|tally| tally.faults) > 300, "too few faults: {tallies:?}");
    assert!(sum(|tally| tally.rollbacks) > 20, "too few roll-backs: {tallies:?}");
    assert!(sum(|tally| tally.commands) > 300, "too few commands: {tallies:?}");
    assert!(sum(|tally| tally.instructions) > 100, "operators say too little: {tallies:?}");
    assert!(sum(|tally| tally.moves) > 40, "too little moves: {tallies:?}");
}
