//! What dies comes back, and what must not be touched is not.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::BTreeSet;

use kogge_testkit::cloud::PATIENCE;
use kogge_testkit::{CloudUnderTest, wait};
use serde_json::Value;

const KOGGE: &str = env!("CARGO_BIN_EXE_kogge");
const SERVE: &str = "mkdir -p /tmp/www; echo up > /tmp/www/index.html; exec httpd -f -p 8080 -h /tmp/www";

fn kill(pid: u64) {
    let killed = std::process::Command::new("kill").args(["-9", &pid.to_string()]).status().unwrap();
    assert!(killed.success(), "process {pid} was not there to be killed");
}

fn pids(instances: &[Value]) -> BTreeSet<u64> {
    instances.iter().filter_map(|instance| instance["pid"].as_u64()).collect()
}

#[test]
fn a_killed_instance_is_started_again_and_says_why() {
    let cloud = CloudUnderTest::up(KOGGE);
    cloud.ok(&["deploy", "--name", "worker", "--command", "while true; do sleep 1; done"]);
    let before = cloud.healthy("worker", 1);
    kill(before[0]["pid"].as_u64().unwrap());
    let after = wait::until("another process", PATIENCE, || {
        let now = cloud.instances("worker");
        let is_new = now.first()?["task"] != before[0]["task"] && now[0]["healthy"] == true;
        is_new.then_some(now)
    });
    assert_eq!(after[0]["restarts"], 1);
    let all = cloud.json(&["ps", "--all"]);
    let ended = all
        .as_array()
        .unwrap()
        .iter()
        .find(|instance| instance["task"] == before[0]["task"])
        .unwrap()
        .clone();
    assert!(ended["reason"].as_str().unwrap().contains("signal 9"), "{ended}");
    cloud.down();
}

#[test]
fn g7_killing_the_whole_cloud_touches_no_task_and_the_next_start_takes_over() {
    let cloud = CloudUnderTest::up(KOGGE);
    cloud.load_busybox("web:1");
    cloud.ok(&[
        "deploy",
        "--image",
        "web:1",
        "--name",
        "shop",
        "--command",
        SERVE,
        "--port",
        "8080",
        "--instances",
        "2",
    ]);
    cloud.ok(&["deploy", "--name", "brief", "--command", "sleep 3; echo ended while nobody looked; exit 5"]);
    let before = cloud.healthy("shop", 2);
    kill(u64::from(cloud.pid()));
    wait::until("the cloud's process is gone", PATIENCE, || {
        (!cloud.run(&["status"]).status.success()).then_some(())
    });
    for pid in pids(&before) {
        assert!(std::path::Path::new(&format!("/proc/{pid}")).exists(), "task {pid} died with the cloud");
    }
    let brief_is_over = || {
        !std::fs::read_dir("/proc").unwrap().flatten().any(|entry| {
            let line = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
            String::from_utf8_lossy(&line).contains("ended while nobody looked")
        })
    };
    wait::until("the brief task has ended", PATIENCE, || brief_is_over().then_some(()));
    cloud.start();
    let after = cloud.healthy("shop", 2);
    assert_eq!(pids(&before), pids(&after));
    wait::until("the exit code that nobody saw", PATIENCE, || {
        let all = cloud.json(&["ps", "--all"]);
        let ended = all.as_array()?.iter().any(|instance| {
            instance["service"] == "brief"
                && instance["reason"].as_str().is_some_and(|text| text.contains("exit code 5"))
        });
        ended.then_some(())
    });
    assert!(cloud.ok(&["logs", "brief"]).contains("ended while nobody looked"));
    assert!(cloud.get("shop.localhost", "/").unwrap().text.contains("up"));
    cloud.down();
}

#[test]
fn a_killed_supervisor_is_reported_lost_and_its_task_replaced() {
    let cloud = CloudUnderTest::up(KOGGE);
    cloud.ok(&["deploy", "--name", "worker", "--command", "while true; do sleep 1; done"]);
    let before = cloud.healthy("worker", 1);
    let task = before[0]["task"].as_str().unwrap().to_owned();
    let shim = std::fs::read_dir("/proc").unwrap().flatten().find_map(|entry| {
        let line = std::fs::read(entry.path().join("cmdline")).ok()?;
        let line = String::from_utf8_lossy(&line).replace('\0', " ");
        let is_it = line.contains("shim") && line.contains(&task);
        // A helper of it, which looks the same, is of its session.
        let stat = std::fs::read_to_string(entry.path().join("stat")).ok()?;
        is_it.then(|| stat.rsplit_once(')')?.1.split_whitespace().nth(3)?.parse::<u64>().ok()).flatten()
    });
    kill(shim.expect("the task has a supervisor"));
    wait::until("a replacement", PATIENCE, || {
        let now = cloud.instances("worker");
        (now.first()?["task"] != before[0]["task"] && now[0]["healthy"] == true).then_some(())
    });
    let all = cloud.json(&["ps", "--all"]);
    let lost = all
        .as_array()
        .unwrap()
        .iter()
        .any(|instance| instance["task"] == task && instance["state"] == "lost");
    assert!(lost, "{all}");
    let old = before[0]["pid"].as_u64().unwrap();
    wait::until("the orphan is gone", PATIENCE, || {
        (!std::path::Path::new(&format!("/proc/{old}")).exists()).then_some(())
    });
    cloud.down();
}

#[test]
fn down_with_kept_tasks_leaves_them_running_for_the_next_start() {
    let cloud = CloudUnderTest::up(KOGGE);
    cloud.ok(&["deploy", "--name", "worker", "--command", "while true; do sleep 1; done"]);
    let before = cloud.healthy("worker", 1);
    cloud.ok(&["down", "--keep-tasks"]);
    cloud.start();
    assert_eq!(pids(&before), pids(&cloud.healthy("worker", 1)));
    cloud.down();
}
