//! The end of a bed: nothing is left of it, however it came about.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use kogge_testkit::cluster::{Bed, BedError, Engine, Fault, Launch, Plan, ProcessId, Record, Role, sweep};

const PATIENCE: Duration = Duration::from_secs(60);

/// A bed with a process, a disk and a fault.
fn busy() -> Bed {
    let mut bed = Bed::for_test().unwrap();
    bed.add("s1", Role::Server, Some(16)).unwrap();
    bed.add("a1", Role::Agent, None).unwrap();
    for name in ["s1", "a1"] {
        bed.set_launch(name, Launch::new(["sh", "-c", "sleep 1000 & sleep 1000"])).unwrap();
        bed.start(name).unwrap();
    }
    bed.fault("s1", &Fault::Loss("5".parse().unwrap())).unwrap();
    bed.fault("a1", &Fault::Pause { with_tasks: true }).unwrap();
    bed
}

/// What the machine still knows of a bed.
fn traces(record: &Record) -> Vec<String> {
    let mut found = Vec::new();
    for folder in ["/run/netns", "/run/kogge-beds"] {
        let names = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.file_name());
        let names = names.map(|name| name.to_string_lossy().into_owned());
        found.extend(names.filter(|name| name.contains(&record.tag)));
    }
    let directory = record.directory.to_string_lossy().into_owned();
    for file in ["/proc/self/mountinfo", "/proc/mounts"] {
        let text = std::fs::read_to_string(file).unwrap();
        found.extend(text.lines().filter(|line| line.contains(&directory)).map(str::to_owned));
    }
    let loops = Command::new("losetup").arg("-a").output().unwrap();
    let loops = String::from_utf8(loops.stdout).unwrap();
    found.extend(loops.lines().filter(|line| line.contains(&directory)).map(str::to_owned));
    found.extend(Path::new(&directory).exists().then_some(directory));
    let processes = record.nodes.iter().filter_map(|node| node.process()).filter(ProcessId::is_alive);
    found.extend(processes.map(|process| format!("process {}", process.pid)));
    found
}

#[test]
fn down_leaves_nothing() {
    let bed = busy();
    let record = bed.record().clone();
    assert!(traces(&record).len() >= 8, "there was something: {:?}", traces(&record));
    bed.down().unwrap();
    assert_eq!(traces(&record), [""; 0]);
}

#[test]
fn a_test_that_fails_leaves_nothing() {
    let mut record = None;
    let failed = catch_unwind(AssertUnwindSafe(|| {
        let bed = busy();
        record = Some(bed.record().clone());
        panic!("a test fails here");
    }));
    assert!(failed.is_err());
    assert_eq!(traces(&record.unwrap()), [""; 0]);
}

#[test]
fn a_cluster_that_does_not_come_up_leaves_nothing() {
    let mut bed = Bed::for_test().unwrap();
    let plan = Plan { engines: 1, servers: 1, agents: 1, ..Plan::new(Path::new("/bin/false")) };
    let mut told = Vec::new();
    let failed = plan.build(&mut bed, &mut |line| told.push(line.to_owned()));
    assert!(matches!(failed, Err(BedError::Ended { ref node, .. }) if node == "s1"), "{failed:?}");
    assert_eq!(told.len(), 2, "{told:?}");
    let record = bed.record().clone();
    drop(bed);
    assert_eq!(traces(&record), [""; 0]);
}

#[test]
fn a_bed_whose_process_was_killed_is_swept() {
    let bed = busy();
    let (mut record, file) = (bed.record().clone(), bed.file().to_owned());
    bed.keep();
    sweep().unwrap();
    assert!(file.exists(), "its process lives");
    let mut gone = Command::new("true").spawn().unwrap();
    record.owner = ProcessId::of(gone.id());
    gone.wait().unwrap();
    std::fs::write(&file, serde_json::to_vec(&record).unwrap()).unwrap();
    // The test beside this one sweeps too, and may come first.
    let _ = sweep();
    kogge_testkit::wait::until("it is swept", PATIENCE, || traces(&record).is_empty().then_some(()));
}

#[test]
fn people_find_their_bed_by_its_file_and_end_it() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("cluster.json");
    let mut bed = Bed::by_hand(&file).unwrap();
    bed.add("a1", Role::Agent, None).unwrap();
    let record = bed.record().clone();
    bed.keep();
    assert!(matches!(Bed::by_hand(&file), Err(BedError::Refused(_))));
    let shown: serde_json::Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    assert_eq!(shown["client"]["namespace"], record.client.namespace.as_str());
    assert!(shown["client"]["env"].is_object());
    let node = &shown["nodes"][0];
    assert_eq!(node["name"], "a1");
    assert_eq!(node["role"], "agent");
    for key in ["namespace", "pid", "address", "data", "doors"] {
        assert!(node.get(key).is_some(), "{key} in {node}");
    }
    Bed::open(&file).unwrap().down().unwrap();
    assert!(!file.exists());
    assert_eq!(traces(&record), [""; 0]);
}

fn an_engine_outlives_one_member(engine: Engine) {
    let mut bed = Bed::for_test().unwrap();
    let plan = Plan { engine, servers: 0, agents: 0, ..Plan::new(Path::new("/bin/false")) };
    plan.build(&mut bed, &mut |_| ()).unwrap();
    let serves = |bed: &mut Bed, name: &str| bed.ready(name, "serves", PATIENCE, |node| engine.serves(node));
    bed.fault("e1", &Fault::Cut { direction: None, peer: None }).unwrap();
    bed.fault("e2", &Fault::Restart { program: None }).unwrap();
    for name in ["e2", "e3"] {
        serves(&mut bed, name).unwrap();
    }
    bed.fault("e1", &Fault::Heal).unwrap();
    bed.fault("e3", &Fault::Kill { with_tasks: true }).unwrap();
    serves(&mut bed, "e1").unwrap();
    bed.down().unwrap();
}

#[test]
fn etcd_outlives_one_member() {
    an_engine_outlives_one_member(Engine::Etcd);
}

#[test]
fn zookeeper_outlives_one_member() {
    an_engine_outlives_one_member(Engine::ZooKeeper);
}
