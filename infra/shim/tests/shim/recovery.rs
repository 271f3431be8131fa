//! Whoever is killed, the truth is found again.

use std::path::Path;

use kogge_model::task::Exit;
use kogge_shim::client::{ClientError, Recovered, destroy, recover, scan};
use kogge_shim::protocol::KillScope;

use crate::fixture::{Fixture, wait_until};

fn kill_process(pid: u32) {
    let pid = rustix::process::Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
}

#[test]
fn a_task_outlives_its_spawner_and_is_found_again_with_everything_it_wrote() {
    let fixture =
        Fixture::shell("trap 'echo last words; exit 9' TERM; echo begin; while :; do sleep 0.01; done");
    fixture.write();
    // The spawner is another process, which is killed as hard as can be.
    let spawner = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "recovery::spawner", "--ignored", "--nocapture"])
        .env("KOGGE_TEST_SHIM_DIR", &fixture.dir)
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn();
    let mut spawner = spawner.unwrap();
    fixture.wait_for_log("begin");
    kill_process(spawner.id());
    spawner.wait().unwrap();

    let Recovered::Running(client, pong) = fixture.block_on(recover(&fixture.dir)).unwrap() else {
        panic!("not running")
    };
    assert!(Path::new(&format!("/proc/{}", pong.pid)).exists() && pong.run == fixture.config.run);
    fixture.block_on(client.kill(15, KillScope::Init)).unwrap();
    let ended = fixture.block_on(client.wait()).unwrap();
    assert_eq!(ended.exit, Exit::Code { code: 9 });
    assert_eq!(fixture.log(), "begin\nlast words\n");
    assert!(
        matches!(fixture.block_on(recover(&fixture.dir)).unwrap(), Recovered::Ended(again) if *again == ended)
    );
    assert_eq!(scan(fixture.root()).unwrap(), std::slice::from_ref(&fixture.dir));
}

/// Not a test: what the test above kills.
#[test]
#[ignore = "started by another test"]
fn spawner() {
    let Ok(dir) = std::env::var("KOGGE_TEST_SHIM_DIR") else { return };
    let program = kogge_shim::client::ShimProgram::open(Path::new(crate::fixture::SHIM)).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let _started =
            kogge_shim::client::spawn(&program, Path::new(&dir), crate::fixture::DEADLINE).await.unwrap();
        std::future::pending::<()>().await;
    });
}

#[test]
fn a_killed_shim_means_a_lost_task_that_is_cleared_away() {
    let fixture = Fixture::new(&["sleep", "1000"]);
    let client = fixture.start();
    let pong = fixture.block_on(client.ping()).unwrap();
    let waiting = fixture.block_on(async {
        let wait = client.wait();
        let kill = async { kill_process(pong.shim_pid) };
        tokio::join!(wait, kill).0
    });
    assert!(matches!(waiting.unwrap_err(), ClientError::Gone(_)), "whoever waits learns of it at once");
    assert!(matches!(fixture.block_on(recover(&fixture.dir)).unwrap(), Recovered::Lost(_)));
    assert!(Path::new(&format!("/proc/{}", pong.pid)).exists(), "the task itself runs on, unwatched");
    fixture.block_on(destroy(&fixture.dir)).unwrap();
    wait_until("end of the lost task", || !is_alive(pong.pid));
    assert!(!fixture.own_cgroup().exists());
    fixture.block_on(destroy(&fixture.dir)).unwrap();
}

/// Neither gone nor waiting to be reaped by whoever inherited it.
fn is_alive(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    !stat.is_empty() && !stat.contains(") Z ")
}

#[test]
fn a_directory_whose_shim_never_came_up_is_lost_not_running() {
    let fixture = Fixture::new(&["sleep", "1000"]);
    fixture.write();
    assert!(matches!(fixture.block_on(recover(&fixture.dir)).unwrap(), Recovered::Lost(_)));
}

#[test]
fn a_deaf_shim_is_lost_and_cleared_away() {
    let fixture = Fixture::new(&["sleep", "1000"]);
    let client = fixture.start();
    let pong = fixture.block_on(client.ping()).unwrap();
    let pid = rustix::process::Pid::from_raw(i32::try_from(pong.shim_pid).unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::STOP).unwrap();
    assert!(matches!(fixture.block_on(recover(&fixture.dir)).unwrap(), Recovered::Lost(_)));
    fixture.block_on(destroy(&fixture.dir)).unwrap();
    wait_until("end of the task", || !is_alive(pong.pid));
}

#[test]
fn a_directory_is_never_used_for_two_shims() {
    let fixture = Fixture::new(&["sleep", "1000"]);
    let client = fixture.start();
    let again = fixture.try_start().unwrap_err();
    assert!(matches!(again, kogge_shim::client::SpawnError::Taken { .. }), "{again:?}");
    assert!(!fixture.block_on(client.ping()).unwrap().has_ended);
}

#[test]
fn a_shim_that_is_told_to_end_ends_its_task_first() {
    let fixture = Fixture::shell("trap 'echo bye; exit 0' TERM; echo ready; while :; do sleep 0.01; done");
    let client = fixture.start();
    fixture.wait_for_log("ready");
    let shim = fixture.block_on(client.ping()).unwrap().shim_pid;
    let pid = rustix::process::Pid::from_raw(i32::try_from(shim).unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    wait_until("end of the shim", || !is_alive(shim));
    let Recovered::Ended(ended) = fixture.block_on(recover(&fixture.dir)).unwrap() else { panic!("no end") };
    assert_eq!((ended.exit, fixture.log().as_str()), (Exit::Code { code: 0 }, "ready\nbye\n"));
}
