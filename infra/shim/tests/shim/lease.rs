//! A single-copy task is dead when its lease is over, whoever is there to see it (G9).

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use kogge_host::clock::since_boot;
use kogge_model::task::Exit;
use kogge_shim::client::{ClientError, SpawnError, destroy};
use kogge_shim::config::{EngineKind, LeaseTerms};
use kogge_shim::protocol::Fault;
use rustix::process::{Pid, Signal};

use crate::fixture::{Fixture, wait_until};

/// Of all leases here, in ms: so long that a machine which stands still for seconds does not decide.
const LEASE: u64 = 8_000;
const NOTICE: u64 = 4_000;
const DYING: u64 = 2_500;

/// In ms since the boot, `after` from now.
fn at(after: Duration) -> u64 {
    u64::try_from((since_boot() + after).as_millis()).unwrap()
}

fn leased(script: &str) -> (Fixture, u64) {
    let mut fixture = Fixture::shell(script);
    let until_ms = at(Duration::from_millis(LEASE));
    fixture.config.lease = Some(LeaseTerms { until_ms, notice_ms: NOTICE, dying_ms: DYING });
    (fixture, until_ms)
}

#[test]
fn g9_a_task_that_nobody_renews_is_asked_to_end_in_time() {
    let (fixture, until_ms) = leased("trap 'echo asked; exit 5' TERM; while :; do sleep 0.01; done");
    let client = fixture.start();
    let ended = fixture.block_on(client.wait()).unwrap();
    assert!(at(Duration::ZERO) < until_ms, "it is over before its lease is");
    assert!(at(Duration::from_millis(NOTICE + 100)) > until_ms, "it lives as long as it may");
    assert_eq!((ended.exit, ended.is_lease_over), (Exit::Code { code: 5 }, true));
    assert!(
        ended.reason.starts_with("cut off from the cluster for longer than its lease"),
        "{}",
        ended.reason
    );
    assert!(fixture.log().contains("asked"));
}

#[test]
fn g9_a_task_that_pays_no_attention_is_killed_in_time_also_when_it_is_frozen() {
    for is_frozen in [false, true] {
        let script = "trap '' TERM; echo ready; while :; do sleep 0.01; done";
        let (fixture, until_ms) = leased(script);
        let client = fixture.start();
        fixture.wait_for_log("ready");
        if is_frozen {
            fixture.block_on(client.pause()).unwrap();
        }
        let ended = fixture.block_on(client.wait()).unwrap();
        assert!(at(Duration::ZERO) <= until_ms, "it is over before its lease is, frozen: {is_frozen}");
        assert_eq!((ended.exit, ended.is_lease_over), (Exit::Signal { signal: 9 }, true));
    }
}

#[test]
fn g9_a_task_lives_while_it_is_renewed_and_its_end_is_not_taken_back() {
    let (fixture, first_ms) = leased("trap '' TERM; while :; do sleep 0.01; done");
    let client = fixture.start();
    let mut until_ms = first_ms;
    while at(Duration::ZERO) < first_ms + 100 {
        until_ms = at(Duration::from_millis(LEASE));
        fixture.block_on(client.renew(until_ms)).unwrap();
        fixture.block_on(tokio::task::yield_now());
    }
    assert!(!fixture.block_on(client.ping()).unwrap().has_ended, "it outlived its first lease");
    let ended = fixture.block_on(async {
        loop {
            match client.renew(until_ms).await {
                Ok(()) => tokio::task::yield_now().await,
                Err(ClientError::Refused(failure)) => break assert_eq!(failure.kind, Fault::WrongState),
                Err(error) => panic!("{error}"),
            }
        }
        client.wait().await.unwrap()
    });
    assert!(ended.is_lease_over && at(Duration::ZERO) <= until_ms);
}

/// As on a machine that is very slow at one step: it goes on with it long after the lease.
fn slow_runc(fixture: &Fixture, step: &str) -> PathBuf {
    let (tool, mark) = (fixture.root().join("slow-runc"), fixture.root().join("slow"));
    let mark = mark.display();
    let script = format!(
        "#!/bin/bash\ncase \" $* \" in *\" {step} \"*) mkfifo {mark}; read -t 20 <> {mark};; esac\nexec /usr/sbin/runc \"$@\"\n"
    );
    // Written by another process: one that this one has open could not be run where a test forks meanwhile.
    let mut writer = Command::new("sh");
    writer.args(["-c", "printf %s \"$1\" > \"$2\" && chmod 755 \"$2\"", "sh", &script]).arg(&tool);
    assert!(writer.status().unwrap().success());
    tool
}

#[test]
fn g9_a_task_whose_lease_is_over_before_it_is_started_never_runs() {
    for slow in ["create", "start"] {
        let (mut fixture, until_ms) = leased("echo it ran; sleep 1000");
        fixture.config.engine = EngineKind::Runc { path: slow_runc(&fixture, slow) };
        let Err(SpawnError::Refused(text)) = fixture.try_start() else {
            panic!("it was started, slow {slow}")
        };
        assert_eq!(text, "its lease was over before it was started", "slow {slow}");
        assert!(fixture.root().join("slow").exists(), "it was at that step, slow {slow}");
        assert!(at(Duration::ZERO) <= until_ms, "it is given up before its lease is over, slow {slow}");
        assert_eq!(fixture.log(), "", "slow {slow}");
    }
}

fn send(pid: u32, signal: Signal) {
    let pid = Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
    rustix::process::kill_process(pid, signal).unwrap();
}

/// The one that this process has started.
fn shim_of(fixture: &Fixture) -> u32 {
    let own = format!("PPid:\t{}\n", std::process::id());
    let is_child =
        |pid: &u32| fs::read_to_string(format!("/proc/{pid}/status")).is_ok_and(|text| text.contains(&own));
    supervisors(fixture).into_iter().find(is_child).expect("a shim")
}

/// Those that name the fixture's directory: its shim, and whom that has forked.
fn supervisors(fixture: &Fixture) -> Vec<u32> {
    let name = fixture.dir.to_string_lossy().into_owned();
    let all = fs::read_dir("/proc").unwrap().flatten();
    let pids = all.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let is_its = |pid: &u32| {
        let words = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&words).split('\0').any(|word| word == name)
    };
    pids.filter(is_its).collect()
}

#[test]
fn g9_a_task_whose_shim_is_killed_or_stands_still_is_dead_when_its_lease_is_over() {
    for signal in [Signal::KILL, Signal::STOP] {
        let (fixture, until_ms) = leased("trap '' TERM; echo ready; while :; do sleep 0.01; done");
        let client = fixture.start();
        fixture.wait_for_log("ready");
        let pong = fixture.block_on(client.ping()).unwrap();
        send(pong.shim_pid, signal);
        assert!(!fixture.own_cgroup().processes().unwrap().is_empty(), "it lives while its lease lasts");
        wait_until("end of the task", || fixture.own_cgroup().processes().unwrap().is_empty());
        let ended_ms = at(Duration::ZERO);
        assert!(ended_ms <= until_ms, "it is dead before its lease is over, {signal:?}");
        assert!(ended_ms + DYING > until_ms, "nobody but the watchdog ends it, {signal:?}");
        if signal == Signal::STOP {
            send(pong.shim_pid, Signal::CONT);
            let ended = fixture.block_on(client.wait()).unwrap();
            assert_eq!(ended.exit, Exit::Signal { signal: 9 });
            fixture.block_on(destroy(&fixture.dir)).unwrap();
        }
        wait_until("end of the watchdog", || supervisors(&fixture).is_empty());
    }
}

#[test]
fn g9_the_watchdog_goes_with_the_task_and_takes_nobody_along() {
    let (fixture, until_ms) = leased("while :; do sleep 0.01; done");
    let client = fixture.start();
    let pong = fixture.block_on(client.ping()).unwrap();
    let all = supervisors(&fixture);
    assert_eq!(all.len(), 2, "shim and watchdog, and nobody else: {all:?}");
    let watchdog = *all.iter().find(|pid| **pid != pong.shim_pid).unwrap();
    send(watchdog, Signal::KILL);
    wait_until("end of the watchdog", || supervisors(&fixture) == [pong.shim_pid]);
    assert!(!fixture.block_on(client.ping()).unwrap().has_ended, "the shim still watches");
    let ended = fixture.block_on(client.wait()).unwrap();
    assert!(ended.is_lease_over && at(Duration::ZERO) <= until_ms);
}

#[test]
fn g9_what_was_being_started_when_its_shim_was_killed_never_runs() {
    for slow in ["create", "start"] {
        let (mut fixture, until_ms) = leased("echo it ran > /ran; sleep 1000");
        fixture.config.engine = EngineKind::Runc { path: slow_runc(&fixture, slow) };
        let refused = std::thread::scope(|scope| {
            scope.spawn(|| {
                wait_until("slow step", || fixture.root().join("slow").exists());
                send(shim_of(&fixture), Signal::KILL);
            });
            fixture.try_start().map(drop)
        });
        assert!(refused.is_err(), "it was started, slow {slow}");
        wait_until("end of all", || supervisors(&fixture).is_empty());
        assert!(fixture.own_cgroup().processes().unwrap().is_empty(), "slow {slow}");
        assert!(at(Duration::ZERO) <= until_ms, "it is over before its lease is, slow {slow}");
        assert!(!fixture.dir.join("bundle/upper/ran").exists(), "slow {slow}");
    }
}

#[test]
fn an_ordinary_task_takes_no_lease() {
    let fixture = Fixture::new(&["sleep", "1000"]);
    let client = fixture.start();
    let refused = fixture.block_on(client.renew(u64::MAX)).unwrap_err();
    assert!(matches!(refused, ClientError::Refused(failure) if failure.kind == Fault::WrongState));
    fixture.block_on(destroy(&fixture.dir)).unwrap();
}
