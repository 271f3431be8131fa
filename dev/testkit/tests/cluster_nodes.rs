//! Nodes of a bed: they are killed, paused, restarted; their disks are full and their clocks wrong.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::io::{Read, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use kogge_testkit::cluster::{Bed, BedError, Fault, Launch, Node, ProcessState, Role};
use kogge_testkit::wait;

const PATIENCE: Duration = Duration::from_secs(30);
const DOOR: u16 = 8080;

fn shell(text: &str) -> Launch {
    Launch::new(["busybox", "sh", "-c", text])
}

/// A web server of one node.
fn bed() -> Bed {
    let mut bed = Bed::for_test().unwrap();
    bed.add("a1", Role::Agent, None).unwrap();
    let data = bed.node("a1").unwrap().data.clone();
    std::fs::write(data.join("index.html"), "here\n").unwrap();
    let door = DOOR.to_string();
    let words = ["busybox", "httpd", "-f", "-p", &door, "-h", data.to_str().unwrap()];
    bed.set_launch("a1", Launch::new(words)).unwrap();
    bed
}

fn answers(bed: &Bed, limit: Duration) -> bool {
    let at = SocketAddr::from((bed.node("a1").unwrap().address, DOOR));
    let ask = || -> std::io::Result<String> {
        let mut stream = bed.client().connect(at, limit)?;
        stream.write_all(b"GET / HTTP/1.0\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    };
    ask().is_ok_and(|answer| answer.contains("here"))
}

fn await_answer(bed: &Bed) {
    wait::until("the node answers", PATIENCE, || answers(bed, PATIENCE).then_some(()));
}

#[test]
fn a_killed_node_is_gone_and_starts_again_as_before() {
    let mut bed = bed();
    bed.start("a1").unwrap();
    await_answer(&bed);
    let first = bed.node("a1").unwrap().process().unwrap();
    bed.fault("a1", &Fault::Kill { with_tasks: false }).unwrap();
    assert!(!first.is_alive() && !answers(&bed, PATIENCE));
    assert_eq!(bed.node("a1").unwrap().pid, None);
    bed.fault("a1", &Fault::Restart { program: None }).unwrap();
    await_answer(&bed);
    let second = bed.node("a1").unwrap().process().unwrap();
    bed.fault("a1", &Fault::Restart { program: None }).unwrap();
    await_answer(&bed);
    assert!(!second.is_alive(), "one that runs is ended first");
    assert!(matches!(bed.start("a1"), Err(BedError::Refused(_))), "it runs once");
    bed.down().unwrap();
}

/// Whoever is paused on its way to its machine was found there neither to go on nor to be ended.
#[test]
fn a_node_that_is_paused_as_soon_as_it_starts_goes_on_and_ends() {
    let mut bed = bed();
    for _ in 0..3 {
        bed.start("a1").unwrap();
        bed.fault("a1", &Fault::Pause { with_tasks: false }).unwrap();
        assert!(bed.node("a1").unwrap().network().holds(bed.node("a1").unwrap().process().unwrap()));
        bed.fault("a1", &Fault::Resume).unwrap();
        assert_eq!(bed.node("a1").unwrap().state(), ProcessState::Running);
        await_answer(&bed);
        bed.fault("a1", &Fault::Kill { with_tasks: false }).unwrap();
    }
    bed.start("a1").unwrap();
    bed.fault("a1", &Fault::Pause { with_tasks: false }).unwrap();
    bed.down().unwrap();
}

#[test]
fn a_paused_node_is_silent_until_it_goes_on() {
    let mut bed = bed();
    bed.start("a1").unwrap();
    await_answer(&bed);
    bed.fault("a1", &Fault::Pause { with_tasks: false }).unwrap();
    assert_eq!(bed.node("a1").unwrap().state(), ProcessState::Paused);
    assert!(!answers(&bed, Duration::from_millis(300)));
    bed.fault("a1", &Fault::Resume).unwrap();
    assert_eq!(bed.node("a1").unwrap().state(), ProcessState::Running);
    await_answer(&bed);
    bed.fault("a1", &Fault::Pause { with_tasks: true }).unwrap();
    bed.fault("a1", &Fault::Kill { with_tasks: false }).unwrap();
    assert!(matches!(bed.fault("a1", &Fault::Pause { with_tasks: false }), Err(BedError::Refused(_))));
    bed.down().unwrap();
}

#[test]
fn tasks_outlive_their_agent_but_not_their_machine() {
    let mut bed = bed();
    // A child in a session of its own, as supervisors of tasks are.
    let launch =
        shell("echo $$ > $DATA/agent; setsid busybox sh -c 'echo $$ > $DATA/task; exec sleep 1000' & wait");
    let data = bed.node("a1").unwrap().data.clone();
    bed.set_launch("a1", launch.with_env("DATA", data.to_str().unwrap())).unwrap();
    bed.start("a1").unwrap();
    let task = wait::until("the task runs", PATIENCE, || number(&data.join("task")));
    let task = kogge_testkit::cluster::ProcessId::of(task).unwrap();
    bed.fault("a1", &Fault::Kill { with_tasks: false }).unwrap();
    assert!(task.is_alive(), "a task is not its agent");
    bed.fault("a1", &Fault::Kill { with_tasks: true }).unwrap();
    assert!(!task.is_alive(), "everything on a machine ends with it");
    bed.down().unwrap();
}

fn number(file: &Path) -> Option<u32> {
    std::fs::read_to_string(file).ok()?.trim().parse().ok()
}

#[test]
fn a_machine_has_interfaces_and_mounts_of_its_own_and_the_cgroups_of_the_host() {
    let mut bed = Bed::for_test().unwrap();
    bed.add("a1", Role::Agent, None).unwrap();
    let data = bed.node("a1").unwrap().data.clone();
    let look = "mkdir m; mount -t tmpfs none m; touch m/inside; ls /sys/class/net /sys/fs/cgroup > seen.new; \
                mv seen.new seen; exec sleep 1000";
    bed.set_launch("a1", Launch::new(["sh", "-c", &format!("cd {}; {look}", data.display())])).unwrap();
    bed.start("a1").unwrap();
    let seen = wait::until("it has looked", PATIENCE, || std::fs::read_to_string(data.join("seen")).ok());
    let names = |folder: &str| -> Vec<String> {
        let entries = std::fs::read_dir(folder).unwrap().flatten();
        entries.map(|entry| entry.file_name().into_string().unwrap()).collect()
    };
    let has = |name: &str| seen.lines().any(|line| line == name);
    assert!(has("eth0") && has("lo"), "{seen}");
    assert!(names("/sys/fs/cgroup").iter().all(|name| has(name)), "{seen}");
    assert!(!data.join("m/inside").exists(), "what it mounts is seen by it alone");
    let listed = bed.node("a1").unwrap().network().command("ls").arg(data.join("m")).output().unwrap();
    assert_eq!(
        String::from_utf8_lossy(&listed.stdout),
        "inside\n",
        "it has its mounts again when it starts again"
    );
    bed.down().unwrap();
}

#[test]
fn a_full_disk_takes_nothing_until_it_heals() {
    let mut bed = Bed::for_test().unwrap();
    bed.add("s1", Role::Server, Some(16)).unwrap();
    bed.add("s2", Role::Server, None).unwrap();
    let data = bed.node("s1").unwrap().data.clone();
    let write = || std::fs::write(data.join("file"), vec![7; 100_000]);
    write().unwrap();
    bed.fault("s1", &Fault::Fill).unwrap();
    let full = std::fs::write(data.join("more"), vec![7; 100_000]).unwrap_err();
    assert_eq!(full.kind(), std::io::ErrorKind::StorageFull);
    bed.fault("s1", &Fault::Heal).unwrap();
    write().unwrap();
    let refused = bed.fault("s2", &Fault::Fill).unwrap_err();
    assert!(refused.to_string().contains("--disk s2="), "{refused}");
    bed.down().unwrap();
}

#[test]
fn a_clock_is_wrong_by_as_much_as_asked_while_the_node_runs() {
    let mut bed = Bed::for_test().unwrap();
    bed.add("s1", Role::Server, None).unwrap();
    bed.with_clock("s1").unwrap();
    let data = bed.node("s1").unwrap().data.clone();
    // One process that looks at its clock again and again, by the C library.
    let look = "import os,time\nwhile 1:\n open('new','w').write(str(int(time.time())));os.rename('new','now');time.sleep(.05)";
    let words = ["sh", "-c", "cd \"$1\"; exec python3 -c \"$2\"", "sh", data.to_str().unwrap(), look];
    bed.set_launch("s1", Launch::new(words)).unwrap();
    bed.start("s1").unwrap();
    let shown = |expected: i64| {
        wait::until(&format!("its clock is wrong by {expected} s"), PATIENCE, || {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
            let difference = i64::from(number(&data.join("now"))?) - i64::try_from(now).unwrap();
            ((difference - expected).abs() < 30).then_some(())
        });
    };
    shown(0);
    bed.fault("s1", &Fault::Clock("+1d".parse().unwrap())).unwrap();
    shown(86_400);
    bed.fault("s1", &Fault::Clock("-3h".parse().unwrap())).unwrap();
    shown(-10_800);
    bed.fault("s1", &Fault::Heal).unwrap();
    shown(0);
    bed.down().unwrap();
}

#[test]
fn what_a_node_lacks_is_told_with_what_there_is() {
    let mut bed = bed();
    let unknown = bed.fault("a2", &Fault::Heal).unwrap_err();
    assert!(unknown.to_string().contains("no node a2, but there are a1"), "{unknown}");
    for name in ["a1", "client", "", "with space", "longer-than-an-interface"] {
        assert!(matches!(bed.add(name, Role::Agent, None), Err(BedError::Refused(_))), "{name}");
    }
    let ends = |node: &Node| Err::<(), String>(node.name.clone());
    bed.start_once("a1", shell("echo I cannot; exit 1")).unwrap();
    let ended = bed.ready("a1", "serves", PATIENCE, ends).unwrap_err();
    assert!(ended.to_string().contains("I cannot"), "{ended}");
    bed.down().unwrap();
}
