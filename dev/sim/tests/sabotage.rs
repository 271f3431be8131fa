//! Each checker is proven by a broken core that it catches: a checker that cannot complain proves nothing.

use kogge_sim::{Scenario, Trick, run};

/// Within so many seeds a broken core must be caught.
const SEEDS: u64 = 120;

/// Single copies are few, and seldom cut off at the moment when it matters.
const SEEDS_OF_LEASES: std::ops::Range<u64> = 0..3_000;

/// A lease that is late by its way only matters once in many thousands: this is where it does.
const SEEDS_OF_LATE_GRANTS: std::ops::Range<u64> = 6_900..7_500;

/// Some seed must fail, and the first complaint about this trick must come from the checker named `checker`.
fn check(trick: Trick, checker: &str) {
    check_within(0..SEEDS, trick, &[checker]);
}

fn check_within(mut seeds: std::ops::Range<u64>, trick: Trick, checkers: &[&str]) {
    let complaint = seeds.find_map(|seed| run(&Scenario::draw(seed), trick).err());
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
    check_within(0..SEEDS, Trick::UnsavedTasks, &["settle: ", "single: "]);
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
    check_within(SEEDS_OF_LEASES, Trick::DeafSupervisors, &["single: "]);
}

#[test]
fn a_leader_that_does_not_wait_for_leases_is_caught() {
    check_within(SEEDS_OF_LEASES, Trick::HastyLeader, &["single: "]);
}

#[test]
fn a_lease_that_counts_from_its_grant_is_caught() {
    check_within(SEEDS_OF_LATE_GRANTS, Trick::LateGrants, &["single: "]);
}
