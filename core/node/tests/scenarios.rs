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
fn a_machine_without_room_says_so_once_and_goes_on() {
    check_telling_after(
        100,
        "
        accepted
        closed only 3 MiB are free
        : explain close -: only 3 MiB are free
        : register north/1 [] closed: only 3 MiB are free
        closed only 3 MiB are free
        registered
        open
        : explain open -: there is room again
        : register north/1 []
        ",
    );
}

#[test]
fn whoever_waits_for_an_image_lets_others_start_and_says_how_far_it_is() {
    check_telling_after(
        100,
        "
        accepted
        launch a 1
        : save a#1 starting
        : start a 1
        : explain start a: 1 of 2 starts under way
        launch b 2
        : save b#1 starting
        : start b 2
        : explain start b: 2 of 2 starts under way
        launch c 3
        : save c#1 starting
        fetching a fetches image big:1: 3 of 20 MiB are here
        : save a#2 starting
        : start c 3
        : explain start c: 2 of 2 starts under way
        +100
        : status a#2 starting: fetches image big:1: 3 of 20 MiB are here
        : status b#1 starting: waits for its turn to start
        : status c#1 starting: waits for its turn to start
        fetched a
        started a 100
        : save a#3 running 100 healthy
        : status a#3 running 100 healthy: started
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
fn one_update_is_said_again_at_a_time_and_its_answer_tells_which_others_were_lost() {
    check(
        "
        running a
        launch b 2
        : save b#1 starting
        : start b 2
        : explain start b: 1 of 2 starts under way
        : status b#1 starting: waits for its turn to start
        started b 100
        : save b#2 running 100 healthy
        : status b#2 running 100 healthy: started
        quiet launch c 3
        started c 100
        : save c#2 running 100 healthy
        : status c#2 running 100 healthy: started
        +100
        +100
        : status c#2 running 100 healthy: started
        +200
        : status b#2 running 100 healthy: started
        +200
        +200
        : status c#2 running 100 healthy: started
        ack b 2
        +199
        +1
        : status a#2 running 100 healthy: started
        ack a 2
        ack c 2
        +1000
        ",
    );
}

#[test]
fn whoever_leads_next_is_told_everything_without_asking() {
    check(
        "
        session
        up
        : register (none) []
        session
        : register (none) []
        registered
        : save-agent north term 1 forgot 0
        launch a 1
        : save a#1 starting
        : start a 1
        : explain start a: 1 of 2 starts under way
        : status a#1 starting: waits for its turn to start
        session
        : register north/1 [a#1 starting]
        unknown
        +200
        : register north/1 [a#1 starting]
        as north 2 registered
        : save-agent north term 2 forgot 0
        : status a#1 starting: waits for its turn to start
        down
        session
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
