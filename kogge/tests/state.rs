//! The state as a whole: checked, saved, brought back, moved to another engine while the tasks run on.

use kogge_testkit::CloudUnderTest;

const KOGGE: &str = env!("CARGO_BIN_EXE_kogge");

fn pids(cloud: &CloudUnderTest) -> Vec<u64> {
    cloud.healthy("worker", 2).iter().filter_map(|instance| instance["pid"].as_u64()).collect()
}

#[test]
fn g4_a_state_that_is_moved_or_brought_back_is_obeyed_by_the_tasks_agent() {
    let cloud = CloudUnderTest::up(KOGGE);
    let work =
        ["deploy", "--name", "worker", "--instances", "2", "--command", "while true; do sleep 1; done"];
    cloud.ok(&work);
    let before = pids(&cloud);
    let backup = cloud.scratch().join("backup").display().to_string();

    let told = cloud.fails(&["state", "check"]);
    assert!(told.contains("in use"), "a state that is led is not looked at from beside: {told}");
    cloud.ok(&["down", "--keep-tasks"]);

    let checked = cloud.json(&["state", "check"]);
    assert_eq!((&checked["services"], &checked["agents"]), (&1.into(), &1.into()), "{checked}");
    let saved = cloud.json(&["state", "backup", &backup]);
    assert!(saved["records"].as_u64().is_some_and(|records| records > 5), "{saved}");
    assert!(cloud.fails(&["state", "backup", &backup]).contains("exists"));

    let own = format!("embedded:{}", cloud.data().join("state").display());
    let moved = format!("embedded:{}", cloud.data().join("moved").display());
    assert_eq!(cloud.json(&["state", "copy", "--from", &own, "--to", &moved])["records"], saved["records"]);
    let again = cloud.fails(&["state", "copy", "--from", &own, "--to", &moved]);
    assert!(again.contains("holds a state already") && again.contains("hint: "), "{again}");
    cloud.start_with(&["--state", &moved]);
    assert_eq!(pids(&cloud), before, "moving the state touches no task");
    cloud.ok(&["scale", "worker=3"]);
    assert_eq!(cloud.healthy("worker", 3).len(), 3);
    cloud.ok(&["down", "--keep-tasks"]);

    // Older than what the agent has seen since, and yet obeyed: its terms go on beyond all of them.
    let restored = format!("embedded:{}", cloud.data().join("restored").display());
    cloud.ok(&["state", "restore", &backup, "--state", &restored]);
    cloud.start_with(&["--state", &restored]);
    assert_eq!(cloud.healthy("worker", 2).len(), 2, "the wish of the backup counts");
    cloud.down();
}

#[test]
fn what_is_no_state_is_refused_and_changes_nothing() {
    let cloud = CloudUnderTest::up(KOGGE);
    cloud.ok(&["down"]);
    for (words, part) in [
        (&["state", "check", "--state", "mysql://db"][..], "no state engine"),
        (&["state", "check", "--state", "embedded:/does/not/exist"], "there is no state"),
        (&["state", "restore", "/does/not/exist"], "cannot open"),
        (&["state", "copy", "--from", "embedded:/a", "--to", "embedded:/a"], "same state"),
    ] {
        let told = cloud.fails(words);
        assert!(told.contains("error: ") && told.contains(part), "{words:?} said {told}");
    }
    let folder = cloud.scratch().join("no-state");
    std::fs::create_dir(&folder).expect("a folder");
    let told = cloud.fails(&["state", "check", "--state", &format!("embedded:{}", folder.display())]);
    assert!(told.contains("there is no state"), "{told}");
    assert_eq!(std::fs::read_dir(&folder).expect("it is there").count(), 0, "looking makes no state");
    let broken = cloud.scratch().join("broken");
    std::fs::write(&broken, b"KOGGE-STATE\x01 and then nothing of the kind").unwrap();
    let empty = format!("embedded:{}", cloud.data().join("empty").display());
    let told = cloud.fails(&["state", "restore", &broken.display().to_string(), "--state", &empty]);
    assert!(told.contains("damaged"), "{told}");
    let told = cloud.fails(&["up", "--detach", "--doors", "ephemeral", "--state", &empty]);
    assert!(told.contains("has not been finished"), "a state that is half there is not led: {told}");
    cloud.start();
    cloud.down();
}
