//! Each checker is proven by a broken core that it catches: a checker that cannot complain proves nothing.

use kogge_sim::{Scenario, Trick, run};

/// Within so many seeds a broken core must be caught.
const SEEDS: u64 = 120;

/// Within so many worlds of single copies alone.
const SEEDS_OF_SINGLE_COPIES: u64 = 600;

/// Some seed must fail, and the first complaint about this trick must come from the checker named `checker`.
fn check(trick: Trick, checker: &str) {
    check_for(trick, &[checker]);
}

fn check_for(trick: Trick, checkers: &[&str]) {
    check_within((0..SEEDS).map(Scenario::draw), trick, checkers);
}

fn check_single(trick: Trick) {
    check_within((0..SEEDS_OF_SINGLE_COPIES).map(Scenario::of_single_copies), trick, &["single: "]);
}

fn check_within(mut scenarios: impl Iterator<Item = Scenario>, trick: Trick, checkers: &[&str]) {
    let complaint = scenarios.find_map(|scenario| run(&scenario, trick).err());
    let complaint = complaint.map(|failure| failure.complaint).unwrap_or_default();
    assert!(
        checkers.iter().any(|checker| complaint.starts_with(checker)),
        "{trick:?} should be caught by {checkers:?}, not by {complaint:?}"
    );
}

#[test]
fn tasks_that_do_not_fit_are_caught() {
    check(Trick::BlindFitCheck, "over-commit: ");
}

#[test]
fn an_offer_that_is_used_twice_is_caught() {
    check(Trick::OfferStaysOpen, "offers: ");
}

#[test]
fn a_task_that_starts_at_two_places_is_caught() {
    check(Trick::LaunchTwice, "copies: ");
}

#[test]
fn an_instance_with_two_tasks_is_caught() {
    check(Trick::SecondTask, "copies: ");
}

#[test]
fn stopping_below_the_minimum_is_caught() {
    check(Trick::NoMinimum, "capacity: ");
}

#[test]
fn growing_over_the_maximum_is_caught() {
    check(Trick::NoMaximum, "capacity: ");
}

#[test]
fn missing_acknowledgements_are_caught() {
    check(Trick::NoAcknowledgement, "acknowledgements: ");
}

#[test]
fn launches_that_never_arrive_are_caught() {
    check(Trick::LostLaunches, "settle: ");
}

#[test]
fn tasks_that_are_forgotten_are_caught() {
    // Tasks that no record tells of are left over, or a second copy is started: whichever comes first.
    check_for(Trick::UnsavedTasks, &["settle: ", "single: "]);
}

#[test]
fn a_hopeless_version_that_stays_is_caught() {
    check(Trick::NeverRollBack, "settle: ");
}

#[test]
fn killing_what_is_not_on_record_is_caught() {
    check(Trick::KillUnknown, "absence kills: ");
}

#[test]
fn sending_before_persisting_is_caught() {
    check(Trick::SendFirst, "order: ");
}

#[test]
fn a_drain_that_nobody_hears_of_is_caught() {
    check(Trick::NoInverseOffers, "settle: m");
}

#[test]
fn offers_of_a_drained_agent_are_caught() {
    check(Trick::OffersOfDrained, "drain: ");
}

#[test]
fn a_supervisor_that_enforces_no_lease_is_caught() {
    check_single(Trick::DeafSupervisors);
}

#[test]
fn a_leader_that_does_not_wait_for_leases_is_caught() {
    check_single(Trick::HastyLeader);
}

#[test]
fn a_lease_that_counts_from_its_grant_is_caught() {
    check_single(Trick::LateGrants);
}
