//! Single-copy tasks on an agent (G9): asking for leases, and what becomes of a task that has none.

#![expect(clippy::unwrap_used, reason = "a scenario stops at the first surprise")]

mod bench;

use bench::check;

#[test]
fn a_single_copy_starts_when_it_has_a_lease_which_counts_from_its_ask() {
    check(
        "
        accepted
        launch a 1 single
        : save a#1 starting
        : ask-lease a
        : status a#1 starting: waits for its turn to start
        launch b 2
        : save b#1 starting
        : start b 2
        : explain start b: 1 of 2 starts under way
        : status b#1 starting: waits for its turn to start
        +150
        grant a
        : lease a 20000
        : start a 1
        : explain start a: 2 of 2 starts under way
        grant a
        ",
    );
}

#[test]
fn a_grant_to_an_earlier_process_gives_nothing_and_a_late_one_gives_less() {
    check(
        "
        accepted
        launch a 1 single
        : save a#1 starting
        : ask-lease a
        : status a#1 starting: waits for its turn to start
        quiet grant a
        quiet started a 100
        quiet ack a
        crash
        quiet up
        quiet registered
        quiet found a running 100
        grant a 1
        grant a
        : lease a 20000
        ",
    );
}

#[test]
fn a_task_that_its_supervisor_ended_for_want_of_a_lease_was_cut_off() {
    check(
        "
        accepted
        quiet launch a 1 single
        quiet grant a
        quiet started a 100
        quiet ack a
        lease-ended a
        : save a#3 stopping
        : status a#3 stopping: cut off from the cluster for longer than its lease of 20000 ms
        exited a signal 15
        : save a#4 killed
        : release a
        : status a#4 killed: cut off from the cluster for longer than its lease of 20000 ms (signal 15 (SIGTERM))
        ",
    );
}
