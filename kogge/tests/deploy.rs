//! A service from its first deployment to its end, on the real binary.

use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use kogge_testkit::cloud::{PATIENCE, get};
use kogge_testkit::{CloudUnderTest, wait};

const KOGGE: &str = env!("CARGO_BIN_EXE_kogge");

/// A web server that says which version it is, answers at once and ends at once.
fn serve(text: &str) -> String {
    format!("mkdir -p /tmp/www; echo '{text}' > /tmp/www/index.html; exec httpd -f -p 8080 -h /tmp/www")
}

#[test]
fn a_service_is_deployed_routed_scaled_read_entered_and_destroyed() {
    let cloud = CloudUnderTest::up(KOGGE);
    cloud.load_busybox("web:1");
    let words =
        ["deploy", "--image", "web:1", "--name", "shop", "--command", &serve("first"), "--port", "8080"];
    cloud.ok(&[&words[..], &["--health", "/", "--instances", "2"]].concat());
    let instances = cloud.healthy("shop", 2);
    for field in
        ["service", "instance", "task", "state", "agent", "pid", "ports", "image", "started_at", "restarts"]
    {
        assert!(!instances[0][field].is_null(), "{field} is missing in {}", instances[0]);
    }
    assert!(cloud.get("shop.localhost", "/").unwrap().text.contains("first"));

    cloud.ok(&["scale", "shop=3"]);
    let instances = cloud.healthy("shop", 3);
    let name = instances[2]["instance"].as_str().unwrap();
    assert_eq!(cloud.ok(&["exec", name, "--", "echo", "inside"]), "inside\n");
    assert_eq!(cloud.run(&["exec", name, "--", "sh", "-c", "exit 7"]).status.code(), Some(7));
    let seccomp = cloud.ok(&["exec", name, "--", "grep", "Seccomp:", "/proc/self/status"]);
    assert_eq!(seccomp.split_whitespace().nth(1), Some("2"), "{seccomp}");

    let why = cloud.ok(&["why", "shop"]);
    assert!(why.contains("shop"), "{why}");
    cloud.ok(&["stop", "shop"]);
    wait::until("no instance left", PATIENCE, || cloud.instances("shop").is_empty().then_some(()));
    let stopped = cloud.get("shop.localhost", "/").unwrap();
    assert!(stopped.status == 503 && stopped.text.contains("stopped"), "{}", stopped.text);
    cloud.ok(&["restart", "shop"]);
    cloud.healthy("shop", 3);
    cloud.ok(&["destroy", "shop", "--yes"]);
    wait::until("the route is gone", PATIENCE, || {
        (cloud.get("shop.localhost", "/").ok()?.status == 404).then_some(())
    });
    cloud.down();
}

#[test]
fn g17_a_new_version_rolls_out_without_losing_a_request() {
    let cloud = CloudUnderTest::up(KOGGE);
    cloud.load_busybox("web:1");
    let deploy = |text: &str| {
        let command = serve(text);
        cloud.ok(&[
            "deploy",
            "--image",
            "web:1",
            "--name",
            "shop",
            "--command",
            &command,
            "--port",
            "8080",
            "--health",
            "/",
            "--instances",
            "3",
        ]);
    };
    deploy("first");
    cloud.healthy("shop", 3);
    let door = cloud.door("router_http");
    let (over, asked) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU32::new(0)));
    let clients: Vec<_> = (0..2)
        .map(|_| {
            let (over, asked, door) = (Arc::clone(&over), Arc::clone(&asked), door.clone());
            std::thread::spawn(move || {
                let mut bad = Vec::new();
                while !over.load(Ordering::Relaxed) {
                    asked.fetch_add(1, Ordering::Relaxed);
                    match get(&door, "shop.localhost", "/") {
                        Ok(answer) if answer.status == 200 => {}
                        other => bad.push(format!("{other:?}")),
                    }
                }
                bad
            })
        })
        .collect();
    deploy("second");
    deploy("third");
    wait::until("some requests", PATIENCE, || (asked.load(Ordering::Relaxed) > 200).then_some(()));
    over.store(true, Ordering::Relaxed);
    for client in clients {
        let bad = client.join().unwrap();
        assert!(bad.is_empty(), "{} of {} failed: {:?}", bad.len(), asked.load(Ordering::Relaxed), &bad[..1]);
    }
    assert!(cloud.get("shop.localhost", "/").unwrap().text.contains("third"));
    cloud.down();
}

#[test]
fn g12_a_version_that_does_not_come_up_is_rolled_back_and_the_old_one_serves_on() {
    let cloud = CloudUnderTest::up(KOGGE);
    cloud.load_busybox("web:1");
    let good = serve("good");
    let words = ["deploy", "--image", "web:1", "--name", "shop", "--port", "8080", "--health", "/"];
    cloud.ok(&[&words[..], &["--command", &good]].concat());
    let said = cloud.fails(&[&words[..], &["--command", "echo broken on purpose; exit 3"]].concat());
    assert!(said.contains("exit code 3"), "{said}");
    assert!(cloud.get("shop.localhost", "/").unwrap().text.contains("good"));
    wait::until("the good version alone", PATIENCE, || (cloud.healthy("shop", 1).len() == 1).then_some(()));
    let why = cloud.ok(&["why", "shop"]);
    assert!(why.contains("exit code 3"), "{why}");
    cloud.down();
}

#[test]
fn logs_are_told_with_their_stream_and_followed() {
    let cloud = CloudUnderTest::up(KOGGE);
    let command =
        "echo to out; echo to err >&2; n=0; while true; do n=$((n+1)); echo tick $n; sleep 0.2; done";
    cloud.ok(&["deploy", "--name", "ticker", "--command", command]);
    wait::until("the first lines", PATIENCE, || {
        let logs = cloud.ok(&["logs", "ticker"]);
        (logs.contains("to out") && logs.contains("to err")).then_some(())
    });
    let mut follow =
        cloud.command(&["logs", "-f", "-n", "1", "ticker"]).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = std::io::BufRead::lines(std::io::BufReader::new(follow.stdout.take().unwrap()));
    let some: Vec<String> = lines.by_ref().take(4).map(Result::unwrap).collect();
    follow.kill().unwrap();
    follow.wait().unwrap();
    assert!(some.iter().all(|line| line.contains("tick")), "{some:?}");
    cloud.down();
}
