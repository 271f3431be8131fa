//! Limits hold, can be changed, and their breach is told.

use std::fs;
use std::path::Path;

use kogge_model::resources::{Bytes, CpuMillis};
use kogge_model::task::Exit;
use kogge_shim::client::{ClientError, null_stdio};
use kogge_shim::protocol::{ExecRequest, LimitChange};

use crate::bundle::MEM_BYTES;
use crate::fixture::Fixture;

/// Takes memory until it is stopped.
const HOG: &str = "head -c 200000000 /dev/zero | tail -n 1 >/dev/null";

fn cgroup_file(fixture: &Fixture, v1: (&str, &str), v2: &str) -> String {
    let find = |controller: &str, file: &str| {
        let dirs = fixture.own_cgroup().directories();
        let is_it =
            |dir: &&std::path::PathBuf| dir.to_str().unwrap().contains(controller) && dir.join(file).exists();
        dirs.iter().find(is_it).map(|dir| fs::read_to_string(dir.join(file)).unwrap().trim().to_owned())
    };
    find(v1.0, v1.1).or_else(|| find("/", v2)).expect("the limit's file is there")
}

fn memory_limit(fixture: &Fixture) -> String {
    cgroup_file(fixture, ("/memory/", "memory.limit_in_bytes"), "memory.max")
}

fn pids_limit(fixture: &Fixture) -> String {
    cgroup_file(fixture, ("/pids/", "pids.max"), "pids.max")
}

fn cpu_quota(fixture: &Fixture) -> String {
    cgroup_file(fixture, ("/cpu/", "cpu.cfs_quota_us"), "cpu.max").split(' ').next().unwrap().to_owned()
}

#[test]
fn out_of_memory_is_told_from_a_kill() {
    let fixture = Fixture::new(&["tail", "-n", "1", "/dev/zero"]);
    let ended = fixture.run();
    assert_eq!(ended.exit, Exit::OutOfMemory, "{}", ended.reason);
    assert!(ended.reason.starts_with("out of memory") && ended.oom_kills >= 1, "{}", ended.reason);
}

#[test]
fn a_child_that_ran_out_of_memory_is_recorded_while_the_first_process_lives_on() {
    let fixture = Fixture::shell(&format!("{HOG}; echo survived; exit 0"));
    let ended = fixture.run();
    assert_eq!((ended.exit, fixture.log().contains("survived")), (Exit::Code { code: 0 }, true));
    assert!(ended.oom_kills >= 1 && ended.reason.contains("for lack of memory"), "{ended:?}");
}

#[test]
fn a_fork_bomb_is_contained_and_dies_with_its_task() {
    let script = "bomb() { bomb | bomb; }; (while :; do bomb 2>/dev/null; done) & exec sleep 1000";
    let fixture = Fixture::shell(script);
    let client = fixture.start();
    let refusals = || cgroup_file(&fixture, ("/pids/", "pids.events"), "pids.events");
    crate::fixture::wait_until("refused fork", || !refusals().ends_with("max 0"));
    let stats = fixture.block_on(client.stats()).unwrap();
    assert!(stats.pids > 1 && stats.pids <= 64, "{} processes", stats.pids);
    // One more process either finds room or is refused; nobody hangs.
    let request = ExecRequest { args: vec!["true".to_owned()], ..ExecRequest::default() };
    let joined = fixture.block_on(client.exec(request, Some(null_stdio().unwrap())));
    assert!(!matches!(joined, Err(ClientError::TimedOut(_) | ClientError::Gone(_))), "{joined:?}");
    fixture.block_on(client.delete(true)).unwrap();
    assert!(fixture.own_cgroup().processes().unwrap().is_empty());
}

#[test]
fn limits_are_set_and_changed_while_the_task_runs() {
    let fixture = Fixture::new(&["sleep", "1000"]);
    let client = fixture.start();
    assert_eq!(memory_limit(&fixture), MEM_BYTES.to_string());
    assert_eq!((pids_limit(&fixture), cpu_quota(&fixture)), ("64".to_owned(), "50000".to_owned()));
    for mem in [128 << 20, 32 << 20] {
        let change =
            LimitChange { mem_bytes: Some(Bytes(mem)), cpu_millis: Some(CpuMillis(1_500)), pids: Some(99) };
        fixture.block_on(client.update(change)).unwrap();
        assert_eq!(memory_limit(&fixture), mem.to_string());
        assert_eq!((pids_limit(&fixture), cpu_quota(&fixture)), ("99".to_owned(), "150000".to_owned()));
        assert_eq!(fixture.block_on(client.stats()).unwrap().mem_limit_bytes, mem);
    }
    fixture.block_on(client.update(LimitChange::default())).unwrap();
    assert_eq!(pids_limit(&fixture), "99");
}

#[test]
fn stats_tell_processor_time_in_microseconds() {
    let fixture = Fixture::shell("while :; do :; done");
    let client = fixture.start();
    let begin = fixture.block_on(client.stats()).unwrap();
    let mut end = begin;
    crate::fixture::wait_until("processor time", || {
        end = fixture.block_on(client.stats()).unwrap();
        end.at.saturating_since(begin.at).as_millis() >= 500
    });
    let used_us = end.cpu_usage_us - begin.cpu_usage_us;
    let passed_us = u64::try_from(end.at.saturating_since(begin.at).as_micros()).unwrap();
    // Half a core is its ceiling; a wrong unit would be off by a thousand.
    assert!(used_us > passed_us / 50 && used_us < passed_us, "{used_us} of {passed_us} µs");
    assert!(end.mem_bytes > 0 && end.mem_working_set_bytes <= end.mem_bytes && end.pids == 1);
}

/// Of a build without optimisation, which relocates more and shares less than the shipped program.
const PRIVATE_BYTES: u64 = 4 << 20;

#[test]
fn a_supervisor_stays_small() {
    // The program's text is shared with any other supervisor; a lone one would be charged with all of it.
    let fixtures = [(); 2].map(|()| Fixture::shell("echo ready; exec sleep 1000"));
    let supervisors = fixtures.each_ref().map(|fixture| {
        let client = fixture.start();
        fixture.wait_for_log("ready");
        for _ in 0..200 {
            fixture.block_on(client.stats()).unwrap();
        }
        fixture.block_on(client.ping()).unwrap().shim_pid
    });
    let shim = supervisors[0];
    let footprint = kogge_host::memory::footprint(shim).unwrap();
    println!("shim: {footprint:?}");
    assert!(footprint.private_bytes < PRIVATE_BYTES, "{footprint:?}");
    let threads = fs::read_dir(Path::new("/proc").join(shim.to_string()).join("task")).unwrap().count();
    assert_eq!(threads, 1);
}
