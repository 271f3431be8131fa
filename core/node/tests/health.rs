//! Scenarios of health checks; see `scenarios.rs`.

#![expect(clippy::unwrap_used, reason = "a scenario stops at the first surprise")]

mod bench;

use bench::check;

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
