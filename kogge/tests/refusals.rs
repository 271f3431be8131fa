//! Bad input: one clear sentence, a hint, an exit code that is not 0, and nothing half done.

use std::process::Command;

use kogge_testkit::{CloudUnderTest, remains};

const KOGGE: &str = env!("CARGO_BIN_EXE_kogge");

fn said(output: &std::process::Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn wrong_wishes_name_the_field_and_change_nothing() {
    let cloud = CloudUnderTest::up(KOGGE);
    for (words, part) in [
        (&["deploy", "--image", "nowhere:1"][..], "nowhere:1"),
        (&["deploy", "--command", "true", "--name", "Bad_Name"], "is not a name"),
        (&["deploy", "--command", "true", "--name", "x", "--mem", "1"], "4 MiB"),
        (&["deploy", "--command", "true", "--name", "x", "--health", "ping", "--port", "80"], "ping"),
        (&["scale", "nobody=2"], "nobody"),
        (&["why", "nobody"], "nobody"),
        (&["exec", "nobody.1", "--", "true"], "nobody"),
        (&["destroy", "nobody", "--yes"], "nobody"),
        (&["image", "rm", "nothing:1"], "nothing:1"),
    ] {
        let told = cloud.fails(words);
        assert!(told.contains("error: ") && told.contains(part), "{words:?} said {told}");
    }
    assert_eq!(cloud.json(&["ps", "--all"]).as_array().map(Vec::len), Some(0));
    assert_eq!(cloud.json(&["status"])["revision"], 0);
    cloud.down();
}

#[test]
fn a_second_cloud_on_the_same_data_directory_is_refused() {
    let cloud = CloudUnderTest::up(KOGGE);
    let told = cloud.fails(&["up", "--detach", "--doors", "ephemeral"]);
    assert!(told.contains("in use") && told.contains("hint: "), "{told}");
    assert_eq!(cloud.json(&["status"])["agents"], 1);
    cloud.down();
}

#[test]
fn a_door_that_is_taken_and_a_damaged_state_are_told() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let address = taken.local_addr().unwrap().to_string();
    let up =
        |more: &[&str]| Command::new(KOGGE).arg("up").args(more).env("KOGGE_DATA", &data).output().unwrap();
    let output = up(&["--api-bind", &address]);
    assert!(!output.status.success() && said(&output).contains("cannot open door api"), "{}", said(&output));
    std::fs::write(data.join("state/state.redb"), b"this is no state").unwrap();
    let output = up(&["--doors", "ephemeral"]);
    assert!(!output.status.success() && said(&output).contains("damaged"), "{}", said(&output));
    remains::clear(&data);
}

#[test]
fn unknown_words_are_refused_with_code_2() {
    let output = Command::new(KOGGE).args(["ps", "--no-such-flag"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(said(&output).starts_with("error: "), "{}", said(&output));
    let output = Command::new(KOGGE).args(["ps", "--data", "/nonexistent"]).output().unwrap();
    assert!(!output.status.success() && said(&output).contains("no cloud runs"), "{}", said(&output));
}

#[test]
fn g4_an_empty_state_beside_running_tasks_is_refused_and_no_task_is_touched() {
    let cloud = CloudUnderTest::up(KOGGE);
    cloud.ok(&["deploy", "--name", "worker", "--command", "while true; do sleep 1; done"]);
    let before = cloud.healthy("worker", 1);
    cloud.ok(&["down", "--keep-tasks"]);
    let (state, aside) = (cloud.data().join("state"), cloud.data().join("state.aside"));
    std::fs::rename(&state, &aside).unwrap();
    let told = cloud.fails(&["up", "--detach", "--doors", "ephemeral"]);
    assert!(told.contains("the state is empty, and this server is one of cluster"), "{told}");
    let told = cloud.fails(&["state", "check"]);
    assert!(told.contains("there is no state"), "nobody founds a cluster in it: {told}");
    // An agent beside a server that knows no better refuses, too.
    let (known, forgotten) = (cloud.data().join("cluster.json"), cloud.data().join("cluster.json.aside"));
    std::fs::rename(&known, &forgotten).unwrap();
    let told = cloud.fails(&["up", "--detach", "--doors", "ephemeral"]);
    assert!(told.contains("belongs to cluster"), "{told}");
    std::fs::rename(&forgotten, &known).unwrap();
    std::fs::remove_dir_all(&state).unwrap();
    std::fs::rename(&aside, &state).unwrap();
    cloud.start();
    assert_eq!(before[0]["pid"], cloud.healthy("worker", 1)[0]["pid"]);
    cloud.down();
}
