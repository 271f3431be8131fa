//! Scenarios of an agent that starts again, and finds what is left of its tasks; see `scenarios.rs`.

#![expect(clippy::unwrap_used, reason = "a scenario stops at the first surprise")]

mod bench;

use bench::check;

#[test]
fn a_restarted_agent_takes_over_what_runs_and_collects_what_ended() {
    check(
        "
        running a
        running b
        running c
        crash
        found a running 100
        : explain adopt a: process 100 ran on while the agent was away
        found b exited code 3
        : save b#3 failed
        : release b
        found c lost its supervisor does not answer
        : make-sure c
        : explain make-sure c: its supervisor does not answer
        gone c
        : save c#3 lost
        : release c
        up
        : register north/1 [a#2 running 100 healthy, b#3 failed, c#3 lost]
        ",
    );
}

#[test]
fn a_start_that_the_agent_s_end_interrupted_is_made_again_or_taken_over() {
    check(
        "
        accepted
        quiet launch a 1
        quiet launch b 2
        crash
        found a nothing
        : explain start-again a: the agent ended before anything was started
        : start a 1
        : explain start a: 1 of 2 starts under way
        found b running 100
        : save b#2 running 100 healthy
        started a 101
        : save a#2 running 101 healthy
        ",
    );
}

#[test]
fn a_stop_that_the_agent_s_end_interrupted_goes_on() {
    check(
        "
        running a
        quiet kill a 1 grace=1000 scaled down
        crash
        found a running 100
        : explain kill a: scaled down
        : stop a
        +1000
        : kill-hard a
        : explain kill-hard a: did not end within its grace of 1000 ms
        exited a signal 9
        : save a#4 killed
        : release a
        ",
    );
}

#[test]
fn a_kill_that_comes_before_it_is_known_what_is_left_is_carried_out_then() {
    check(
        "
        running a
        crash
        accepted
        kill a 1 grace=1000 scaled down
        : save a#3 stopping
        : status a#3 stopping: scaled down
        found a running 100
        : explain kill a: scaled down
        : stop a
        ",
    );
}

#[test]
fn after_a_reboot_nothing_is_left_and_that_is_the_reason() {
    check(
        "
        running a
        running b
        running c
        quiet kill b 1 scaled down
        reboot
        found a nothing
        : save a#4294967299 lost
        : release a
        found b lost no supervisor
        : save b#4294967300 killed
        : release b
        found c exited code 0
        : save c#4294967299 finished
        : release c
        up
        : register north/1 [a#4294967299 lost, b#4294967300 killed, c#4294967299 finished]
        ",
    );
}

#[test]
fn nothing_is_launched_before_the_leader_has_heard_what_is_here() {
    check(
        "
        accepted
        reboot
        up
        : register north/1 []
        launch a 1
        registered
        launch a 1
        : save a#1 starting
        : start a 1
        : explain start a: 1 of 2 starts under way
        : status a#1 starting: waits for its turn to start
        ",
    );
}
