//! From start to end.

use kogge_model::task::Exit;
use kogge_shim::client::{ClientError, SpawnError};
use kogge_shim::protocol::{EndedTask, Fault, KillScope};

use crate::fixture::Fixture;

#[test]
fn a_task_runs_and_its_exit_code_and_output_are_kept() {
    let fixture = Fixture::shell("echo out; echo err >&2; exit 7");
    let ended = fixture.run();
    assert_eq!(ended.exit, Exit::Code { code: 7 });
    assert_eq!((ended.reason.as_str(), ended.oom_kills), ("exit code 7", 0));
    assert!(ended.started_at < ended.ended_at && ended.pid > 1);
    assert_eq!(EndedTask::load(&fixture.dir).unwrap(), Some(ended));
    let log = fixture.log();
    assert!(log.contains("out\n") && log.contains("err\n"), "{log}");
}

#[test]
fn output_without_a_last_newline_is_kept_and_a_long_line_whole() {
    let fixture = Fixture::shell("head -c 100000 /dev/zero | tr '\\0' x; printf end");
    let ended = fixture.run();
    assert_eq!(fixture.log(), format!("{}end", "x".repeat(100_000)));
    assert_eq!(ended.logged.bytes, 100_003);
}

#[test]
fn a_signal_is_told_from_an_exit_code() {
    let fixture = Fixture::shell("trap 'exit 5' TERM; echo ready; while :; do sleep 0.01; done");
    let client = fixture.start();
    fixture.wait_for_log("ready");
    fixture.block_on(client.kill(15, KillScope::Init)).unwrap();
    let ended = fixture.block_on(client.wait()).unwrap();
    assert_eq!(
        (ended.exit, ended.reason.as_str()),
        (Exit::Code { code: 5 }, "exit code 5, after it was sent signal 15")
    );

    let fixture = Fixture::new(&["sleep", "1000"]);
    let client = fixture.start();
    fixture.block_on(client.kill(9, KillScope::All)).unwrap();
    let ended = fixture.block_on(client.wait()).unwrap();
    assert_eq!(
        (ended.exit, ended.reason.as_str()),
        (Exit::Signal { signal: 9 }, "killed by signal 9, as asked for")
    );
}

#[test]
fn a_program_that_cannot_be_run_is_a_failed_start_with_the_reason() {
    for (program, reason) in [
        ("/bin/nothing", "cannot run /bin/nothing: no such program"),
        ("nothing", "cannot run nothing: no such program"),
        ("/bin/garbage", "cannot run /bin/garbage: it is not a program"),
        ("/etc/passwd", "cannot run /etc/passwd: it is not executable"),
    ] {
        let fixture = Fixture::new(&[program]);
        let error = fixture.try_start().unwrap_err();
        let SpawnError::Refused(text) = &error else { panic!("{error:?}") };
        assert!(text.contains(reason), "{text}");
        assert!(!fixture.own_cgroup().exists(), "a failed start cleans up");
    }
}

#[test]
fn a_spec_without_limits_or_confinement_is_refused_with_all_faults() {
    let mut fixture = Fixture::new(&["true"]);
    fixture.spec["linux"]["resources"]["memory"] = serde_json::Value::Null;
    fixture.spec["linux"]["seccomp"] = serde_json::Value::Null;
    fixture.spec["process"]["noNewPrivileges"] = false.into();
    fixture.spec["linux"]["cgroupsPath"] = "/a/../b".into();
    let text = fixture.try_start().unwrap_err().to_string();
    for field in ["memory.limit", "seccomp", "noNewPrivileges", "cgroupsPath"] {
        assert!(text.contains(field), "{field}: {text}");
    }
    fixture.spec = crate::bundle::spec(&["true"], fixture.config.rootfs.path(), &fixture.cgroup);
    assert_eq!(fixture.run().exit, Exit::Code { code: 0 });
}

#[test]
fn pause_stops_the_task_and_resume_goes_on() {
    let fixture = Fixture::shell("while :; do echo tick; sleep 0.01; done");
    let client = fixture.start();
    fixture.wait_for_log("tick");
    fixture.block_on(client.pause()).unwrap();
    assert!(fixture.block_on(client.ping()).unwrap().is_paused);
    // What was in the pipes arrives at once; a paused task adds nothing to it.
    let before = fixture.block_on(client.stats()).unwrap();
    let refused = fixture.block_on(client.exec(Default::default(), None)).unwrap_err();
    assert!(matches!(refused, ClientError::Refused(failure) if failure.kind == Fault::WrongState));
    let after = fixture.block_on(client.stats()).unwrap();
    assert_eq!(before.cpu_usage_us, after.cpu_usage_us);
    fixture.block_on(client.resume()).unwrap();
    let count = fixture.log().len();
    crate::fixture::wait_until("more ticks", || fixture.log().len() > count);
    fixture.block_on(client.pause()).unwrap();
    fixture.block_on(client.kill(9, KillScope::Init)).unwrap();
    assert_eq!(fixture.block_on(client.wait()).unwrap().exit, Exit::Signal { signal: 9 });
}

#[test]
fn a_running_task_is_deleted_only_by_force_and_nothing_is_left() {
    let fixture = Fixture::new(&["sleep", "1000"]);
    let client = fixture.start();
    let refused = fixture.block_on(client.delete(false)).unwrap_err();
    assert!(matches!(refused, ClientError::Refused(failure) if failure.kind == Fault::WrongState));
    let pong = fixture.block_on(client.ping()).unwrap();
    fixture.block_on(client.delete(true)).unwrap();
    assert!(!std::path::Path::new(&format!("/proc/{}/exe", pong.pid)).exists());
    assert!(!fixture.own_cgroup().exists());
    crate::fixture::wait_until("reaped shim", || {
        !std::path::Path::new(&format!("/proc/{}", pong.shim_pid)).exists()
    });
    assert!(matches!(fixture.block_on(client.ping()).unwrap_err(), ClientError::Gone(_)));
    assert_eq!(EndedTask::load(&fixture.dir).unwrap().unwrap().exit, Exit::Signal { signal: 9 });
}

#[test]
fn fifty_tasks_start_at_once() {
    let fixtures: Vec<Fixture> = (0..50).map(|_| Fixture::new(&["sleep", "1000"])).collect();
    fixtures.iter().for_each(Fixture::write);
    let begin = std::time::Instant::now();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let group = kogge_host::tasks::TaskGroup::new("starts");
        let mut starts = Vec::new();
        for fixture in &fixtures {
            let (program, dir) = (fixture.program().try_clone().unwrap(), fixture.dir.clone());
            let start =
                async move { kogge_shim::client::spawn(&program, &dir, crate::fixture::DEADLINE).await };
            starts.push(group.spawn("start", kogge_host::tasks::OnPanic::Log, start));
        }
        for start in starts {
            start.await.unwrap().unwrap().unwrap();
        }
    });
    println!("50 starts at once: {:?}", begin.elapsed());
}
