//! Tasks that misbehave harm only themselves.

use kogge_testkit::cloud::PATIENCE;
use kogge_testkit::{CloudUnderTest, wait};

const KOGGE: &str = env!("CARGO_BIN_EXE_kogge");

#[test]
fn a_memory_hog_is_told_apart_from_other_ends() {
    let cloud = CloudUnderTest::up(KOGGE);
    let hog = "exec tail /dev/zero";
    cloud.ok(&["deploy", "--detach", "--name", "hog", "--command", hog, "--mem", "32M"]);
    wait::until("an end for lack of memory", PATIENCE, || {
        let all = cloud.json(&["ps", "--all"]);
        let is_told = all.as_array()?.iter().any(|instance| {
            instance["service"] == "hog"
                && instance["reason"].as_str().is_some_and(|text| text.contains("out of memory"))
        });
        is_told.then_some(())
    });
    cloud.down();
}

#[test]
fn a_task_reaches_neither_the_doors_nor_the_data_of_the_cloud() {
    let cloud = CloudUnderTest::up(KOGGE);
    cloud.load_busybox("box:1");
    cloud.ok(&[
        "deploy",
        "--image",
        "box:1",
        "--name",
        "inside",
        "--command",
        "while true; do sleep 1; done",
    ]);
    cloud.ok(&["deploy", "--name", "plain", "--command", "while true; do sleep 1; done"]);
    let (inside, plain) = (cloud.healthy("inside", 1), cloud.healthy("plain", 1));
    let inside = inside[0]["instance"].as_str().unwrap();
    let plain = plain[0]["instance"].as_str().unwrap();
    let port = cloud.door("api").rsplit(':').next().unwrap().to_owned();
    let gateway = cloud.ok(&["exec", inside, "--", "sh", "-c", "ip route | awk '/default/ {print $3}'"]);
    let knock = format!("echo | nc -w 2 {} {port} && echo open", gateway.trim());
    let answer = cloud.run(&["exec", inside, "--", "sh", "-c", &knock]);
    assert!(!String::from_utf8_lossy(&answer.stdout).contains("open"), "a task reached the API");
    let data = cloud.data();
    let look = cloud.run(&["exec", plain, "--", "ls", &format!("{}/state", data.display())]);
    assert!(!look.status.success(), "a task saw {}", String::from_utf8_lossy(&look.stdout));
    for forbidden in ["mknod /tmp/disk b 8 0", "mount -t tmpfs none /tmp", "cat /proc/kcore"] {
        let tried = cloud.run(&["exec", inside, "--", "sh", "-c", forbidden]);
        assert!(!tried.status.success(), "{forbidden} was let through");
    }
    let fds = cloud.ok(&["exec", inside, "--", "ls", "/proc/1/fd"]);
    assert_eq!(fds.split_whitespace().collect::<Vec<_>>(), ["0", "1", "2"]);
    cloud.down();
}

#[test]
fn two_clouds_live_side_by_side() {
    let (one, two) = (CloudUnderTest::up(KOGGE), CloudUnderTest::up(KOGGE));
    let command = "mkdir -p /tmp/www; hostname > /tmp/www/index.html; exec httpd -f -p 8080 -h /tmp/www";
    for cloud in [&one, &two] {
        cloud.load_busybox("web:1");
        cloud.ok(&["deploy", "--image", "web:1", "--name", "same", "--command", command, "--port", "8080"]);
    }
    one.down();
    assert_eq!(two.get("same.localhost", "/").unwrap().status, 200);
    two.down();
}
