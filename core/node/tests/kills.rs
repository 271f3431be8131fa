//! Scenarios of tasks that are told to end; see `scenarios.rs`.

#![expect(clippy::unwrap_used, reason = "a scenario stops at the first surprise")]

mod bench;

use bench::check;

#[test]
fn a_kill_asks_then_waits_then_kills_until_it_works() {
    check(
        "
        running a
        kill a 1 grace=500 scaled down
        : save a#3 stopping
        : explain kill a: scaled down
        : stop a
        : status a#3 stopping: scaled down
        ack a
        kill a 1 grace=500 scaled down
        : status a#3 stopping: scaled down
        +499
        +1
        : kill-hard a
        : explain kill-hard a: did not end within its grace of 500 ms
        +2000
        : kill-hard a
        exited a signal 9
        : save a#4 killed
        : release a
        : status a#4 killed: scaled down (signal 9 (SIGKILL))
        kill a 1 grace=0 scaled down
        : status a#4 killed: scaled down (signal 9 (SIGKILL))
        ",
    );
}

#[test]
fn a_repeated_kill_can_shorten_the_grace_but_not_lengthen_it() {
    check(
        "
        running a
        quiet kill a 1 grace=60000 drained
        ack a
        kill a 1 grace=90000 drained
        : status a#3 stopping: drained
        kill a 1 grace=0 node goes down
        : save a#3 stopping
        : status a#3 stopping: drained
        : kill-hard a
        ",
    );
}

#[test]
fn a_kill_without_grace_of_its_own_uses_the_template_s() {
    check(
        "
        running a
        quiet kill a 1 replaced
        ack a
        +9999
        +1
        : kill-hard a
        : explain kill-hard a: did not end within its grace of 10000 ms
        ",
    );
}

#[test]
fn a_kill_while_starting_cancels_and_whatever_comes_of_it_is_an_end() {
    check(
        "
        accepted
        quiet launch a 1
        kill a 1 grace=100 not wanted any more
        : save a#2 stopping
        : cancel a
        : status a#2 stopping: not wanted any more
        ack a
        start-failed a later cancelled
        : save a#3 killed
        : release a
        : status a#3 killed: not wanted any more (while it was starting)
        ",
    );
    check(
        "
        accepted
        quiet launch a 1
        quiet kill a 1 grace=1000 not wanted any more
        ack a
        +400
        started a 100
        : explain kill a: not wanted any more
        : stop a
        +600
        : kill-hard a
        : explain kill-hard a: did not end within its grace of 1000 ms
        exited a signal 9
        : save a#3 killed
        : release a
        : status a#3 killed: not wanted any more (signal 9 (SIGKILL))
        ",
    );
}

#[test]
fn a_kill_while_waiting_for_its_turn_ends_the_task_at_once() {
    check(
        "
        accepted
        quiet launch a 1
        quiet launch b 2
        quiet launch c 3
        kill c 3 grace=100 scaled down
        : save c#2 killed
        : release c
        : status c#2 killed: scaled down (before it was started)
        start-failed a later no space
        : save a#2 failed
        : release a
        : status a#2 failed: no space
        ",
    );
}

#[test]
fn a_kill_that_overtakes_its_launch_wins() {
    check(
        "
        accepted
        kill a 1 grace=100 scaled down
        : save a#281474976710657 killed
        : status a#281474976710657 killed: not known on this agent: there is nothing to end
        launch a 1
        : status a#281474976710657 killed: not known on this agent: there is nothing to end
        ",
    );
}
