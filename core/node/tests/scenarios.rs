//! Scenarios as text: what happens to a node, and after each line what the node wants done.

#![expect(clippy::unwrap_used, reason = "a scenario stops at the first surprise")]

mod bench;

use bench::{check, check_telling_after};

#[test]
fn a_launch_is_kept_then_started_then_told_and_a_repeat_only_answers() {
    check(
        "
        up
        : register (none) []
        registered
        : save-agent north term 1 forgot 0
        launch a 1
        : save a#1 starting
        : start a 1
        : explain start a: 1 of 2 starts under way
        : status a#1 starting: waits for its turn to start
        launch a 1
        : status a#1 starting: waits for its turn to start
        started a 100
        : save a#2 running 100 healthy
        : status a#2 running 100 healthy: started
        ack a
        launch a 1
        : status a#2 running 100 healthy: started
        launch a 7
        : explain refuse a: ignored launch 7 of a task that is known as launch 1
        : status a#2 running 100 healthy: started
        ",
    );
}

#[test]
fn a_quick_start_is_told_in_one_word_and_a_slow_one_in_two() {
    check_telling_after(
        100,
        "
        accepted
        launch a 1
        : save a#1 starting
        : start a 1
        : explain start a: 1 of 2 starts under way
        +99
        started a 100
        : save a#2 running 100 healthy
        : status a#2 running 100 healthy: started
        ack a 2
        launch b 2
        : save b#1 starting
        : start b 2
        : explain start b: 1 of 2 starts under way
        +100
        : status b#1 starting: waits for its turn to start
        ack b 1
        +100
        started b 101
        : save b#2 running 101 healthy
        : status b#2 running 101 healthy: started
        ",
    );
}

#[test]
fn starts_wait_their_turn_first_come_first_served() {
    check(
        "
        accepted
        launch z 1
        : save z#1 starting
        : start z 1
        : explain start z: 1 of 2 starts under way
        : status z#1 starting: waits for its turn to start
        launch y 2
        : save y#1 starting
        : start y 2
        : explain start y: 2 of 2 starts under way
        : status y#1 starting: waits for its turn to start
        launch x 3
        : save x#1 starting
        : status x#1 starting: waits for its turn to start
        launch a 4
        : save a#1 starting
        : status a#1 starting: waits for its turn to start
        start-failed y later no room for the snapshot
        : save y#2 failed
        : release y
        : start x 3
        : explain start x: 2 of 2 starts under way
        : status y#2 failed: no room for the snapshot
        start-failed z permanent this kernel has no overlayfs
        : save z#2 rejected
        : release z
        : start a 4
        : explain start a: 2 of 2 starts under way
        : status z#2 rejected: this kernel has no overlayfs
        ",
    );
}

#[test]
fn the_end_of_a_process_is_told_with_its_cause() {
    for (how, told) in [
        ("code 0", "finished: ended by itself with exit code 0"),
        ("code 3", "failed: exit code 3"),
        ("signal 9", "failed: killed by signal 9 (SIGKILL)"),
        ("oom", "failed: out of memory: its limit of 128 MiB was reached"),
    ] {
        let word = told.split(':').next().unwrap();
        check(&format!(
            "
            running a
            exited a {how}
            : save a#3 {word}
            : release a
            : status a#3 {told}
            "
        ));
    }
}

#[test]
fn a_process_that_ends_before_its_start_is_told_has_still_ended() {
    check(
        "
        accepted
        quiet launch a 1
        exited a code 1
        : save a#2 failed
        : release a
        : status a#2 failed: exit code 1
        started a 100
        ",
    );
}

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

#[test]
fn a_lost_supervisor_is_told_only_after_every_process_is_gone() {
    check(
        "
        running a
        ack a
        shim-lost a its supervisor was killed by signal 9
        : make-sure a
        : explain make-sure a: its supervisor was killed by signal 9
        +2000
        : make-sure a
        gone a
        : save a#3 lost
        : release a
        : status a#3 lost: its supervisor was killed by signal 9
        gone a
        ",
    );
    check(
        "
        running a
        quiet kill a 1 grace=100 scaled down
        ack a
        shim-lost a no answer
        : make-sure a
        : explain make-sure a: scaled down (no answer)
        gone a
        : save a#4 killed
        : release a
        : status a#4 killed: scaled down (no answer)
        ",
    );
}

#[test]
fn updates_come_again_until_the_newest_is_acknowledged() {
    check(
        "
        running a
        +179
        +21
        : status a#2 running 100 healthy: started
        +400
        : status a#2 running 100 healthy: started
        ack a 1
        +800
        : heartbeat
        : status a#2 running 100 healthy: started
        ack a 2
        +500
        ",
    );
}

#[test]
fn the_end_is_kept_while_control_is_away_and_told_when_it_is_back() {
    check(
        "
        running a
        ack a
        down
        exited a code 3
        : save a#3 failed
        : release a
        +60000
        up
        : register north/1 [a#3 failed]
        registered
        : status a#3 failed: exit code 3
        ack a
        : save a#3 failed acknowledged
        down
        up
        : register north/1 []
        ",
    );
}

#[test]
fn a_registration_comes_again_until_it_is_answered_and_a_forgetful_leader_gets_another() {
    check(
        "
        up
        : register (none) []
        +200
        : register (none) []
        +400
        : register (none) []
        registered
        : save-agent north term 1 forgot 0
        +1000
        : heartbeat
        unknown
        : register north/1 []
        +200
        : register north/1 []
        registered
        +1000
        : heartbeat
        ",
    );
}

#[test]
fn foreign_clusters_and_former_leaders_have_no_say() {
    check(
        "
        accepted
        running a
        ack a
        as south 9 kill a 1 grace=0 hostile
        : explain refuse -: ignored an order of cluster south: this agent belongs to north
        as south 9 kill a 1 grace=0 hostile
        as north 4 acknowledge
        : save-agent north term 4 forgot 0
        as north 3 kill a 1 grace=0 stale
        : explain refuse -: ignored an order of term 3: term 4 leads
        ",
    );
    check(
        "
        up
        : register (none) []
        as north 1 launch a 1
        : explain refuse -: ignored an order: this agent belongs to no cluster until its registration is accepted
        ",
    );
}

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
fn ended_tasks_are_kept_within_bounds_and_a_late_echo_starts_nothing() {
    check(
        "
        ended a
        ended b
        ended c
        ended d
        ack a
        : save a#3 failed acknowledged
        ack b
        : save b#3 failed acknowledged
        ack d
        : save d#3 failed acknowledged
        : collect a
        ack c
        : save c#3 failed acknowledged
        : collect b
        collected a
        : save-agent north term 1 forgot 1
        : forget a
        launch a 1
        : save a#281474976710657 lost
        : release a
        : status a#281474976710657 lost: launch 1 is older than what this agent has forgotten: it may be an echo
        ",
    );
}

#[test]
fn nothing_ended_is_kept_longer_than_a_day() {
    check(
        "
        ended a
        ack a
        : save a#3 failed acknowledged
        down
        +86399000
        +1000
        : collect a
        ",
    );
}

#[test]
fn taking_the_cloud_down_ends_everything_and_starts_no_more() {
    check(
        "
        running a
        quiet launch b 2
        stop-all the cloud is being stopped
        : save a#3 stopping
        : explain kill a: the cloud is being stopped
        : stop a
        : save b#2 stopping
        : cancel b
        : status a#3 stopping: the cloud is being stopped
        : status b#2 stopping: the cloud is being stopped
        launch c 3
        : explain refuse -: ignored the launch of task c: the cloud is being stopped
        ",
    );
}

#[test]
fn a_healthy_start_is_noticed_fast_and_a_failing_check_counts_up_to_its_worst() {
    check(
        "
        accepted
        quiet launch a 1 health
        started a 100
        : save a#2 running 100 starting
        : probe a 1 10.1.2.3:80
        : status a#2 running 100 starting: started
        ack a
        probed a fail connection refused
        +10
        : probe a 2 10.1.2.3:80
        probed a fail connection refused
        +20
        : probe a 3 10.1.2.3:80
        probed a ok
        : save a#3 running 100 healthy
        : explain healthy a: healthy
        : status a#3 running 100 healthy: healthy
        ack a
        fail a
        fail a
        : save a#4 running 100 unhealthy 2 timed out
        : explain unhealthy a: unhealthy after 2 failed checks: timed out
        : status a#4 running 100 unhealthy 2 timed out: unhealthy after 2 failed checks: timed out
        ack a
        fail a
        : save a#5 running 100 unhealthy 3 timed out
        : explain unhealthy a: unhealthy after 3 failed checks: timed out
        : status a#5 running 100 unhealthy 3 timed out: unhealthy after 3 failed checks: timed out
        ack a
        fail a
        fail a
        succeed a
        : save a#6 running 100 healthy
        : explain healthy a: healthy
        : status a#6 running 100 healthy: healthy
        ",
    );
}

#[test]
fn an_instance_that_never_comes_up_is_as_bad_as_it_gets_when_its_grace_is_over() {
    check(
        "
        accepted
        quiet launch a 1 health
        quiet started a 100
        ack a
        quiet +59000
        probed a fail connection refused
        quiet +1000
        probed a fail connection refused
        : save a#3 running 100 unhealthy 3 no check succeeded within 60000 ms after the start: connection refused
        : explain unhealthy a: unhealthy after 3 failed checks: no check succeeded within 60000 ms after the start: connection refused
        : status a#3 running 100 unhealthy 3 no check succeeded within 60000 ms after the start: connection refused: unhealthy after 3 failed checks: no check succeeded within 60000 ms after the start: connection refused
        ",
    );
}

#[test]
fn probes_never_pile_up_and_a_prober_that_fails_is_a_failure() {
    check(
        "
        accepted
        quiet launch a 1 health
        quiet started a 100
        ack a
        probed a ok
        : save a#3 running 100 healthy
        : explain healthy a: healthy
        : status a#3 running 100 healthy: healthy
        ack a
        quiet +5000
        quiet +6999
        quiet +1
        quiet +5000
        +2000
        : save a#4 running 100 unhealthy 2 the probe itself did not end
        : explain unhealthy a: unhealthy after 2 failed checks: the probe itself did not end
        : probe a 4 10.1.2.3:80
        : status a#4 running 100 unhealthy 2 the probe itself did not end: unhealthy after 2 failed checks: the probe itself did not end
        probed a 2 ok
        ",
    );
}
