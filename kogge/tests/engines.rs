//! The state on an engine of its own: the cloud moves there without an interruption, and outlives the engine's absence.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use kogge_testkit::cloud::PATIENCE;
use kogge_testkit::{CloudUnderTest, wait};

const KOGGE: &str = env!("CARGO_BIN_EXE_kogge");
const SERVE: &str = "mkdir -p /tmp/www; echo up > /tmp/www/index.html; exec httpd -f -p 8080 -h /tmp/www";

/// One etcd on this machine.
struct Etcd {
    process: Child,
    address: String,
    _data: tempfile::TempDir,
}

impl Etcd {
    fn start() -> Self {
        let data = tempfile::tempdir().unwrap();
        let ports = [free_port(), free_port()];
        let urls = ports.map(|port| format!("http://127.0.0.1:{port}"));
        let cluster = format!("default={}", urls[1]);
        let process = Command::new("etcd")
            .args(["--data-dir", &data.path().display().to_string(), "--log-level", "error"])
            .args(["--listen-client-urls", &urls[0], "--advertise-client-urls", &urls[0]])
            .args(["--listen-peer-urls", &urls[1], "--initial-advertise-peer-urls", &urls[1]])
            .args(["--initial-cluster", &cluster])
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Self { process, address: format!("etcd://127.0.0.1:{}/clouds/test", ports[0]), _data: data }
    }

    /// Sends it a signal by name.
    fn signal(&self, name: &str) {
        let id = self.process.id().to_string();
        assert!(Command::new("kill").args(["-s", name, &id]).status().unwrap().success());
    }
}

impl Drop for Etcd {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn pids(cloud: &CloudUnderTest) -> Vec<u64> {
    cloud.healthy("web", 2).iter().filter_map(|instance| instance["pid"].as_u64()).collect()
}

fn answers(cloud: &CloudUnderTest) -> bool {
    cloud.get("web.localhost", "/").is_ok_and(|answer| answer.text.contains("up"))
}

#[test]
fn a_cloud_moves_to_etcd_and_outlives_its_absence() {
    let (cloud, etcd) = (CloudUnderTest::up(KOGGE), Etcd::start());
    cloud.load_busybox("box:1");
    cloud.ok(&[
        "deploy",
        "--image",
        "box:1",
        "--name",
        "web",
        "--instances",
        "2",
        "--command",
        SERVE,
        "--port",
        "8080",
    ]);
    let before = pids(&cloud);
    cloud.ok(&["down", "--keep-tasks"]);
    let own = format!("embedded:{}", cloud.data().join("state").display());
    cloud.ok(&["state", "copy", "--from", &own, "--to", &etcd.address]);
    assert_eq!(cloud.json(&["state", "check", "--state", &etcd.address])["engine"], "etcd");
    cloud.start_with(&["--state", &etcd.address]);
    assert_eq!(pids(&cloud), before, "the move touches no task");

    // Away: no answer at all, for longer than the lease of the lead.
    etcd.signal("STOP");
    let written = Instant::now();
    let told = cloud.fails(&["scale", "web=3"]);
    assert!(told.contains("error: ") && written.elapsed() < PATIENCE, "{told}");
    wait::until("writes are turned away at once, with the reason", PATIENCE, || {
        let asked = Instant::now();
        let told = cloud.fails(&["scale", "web=3"]);
        (asked.elapsed() < Duration::from_secs(2)).then_some(told)
    });
    assert!(answers(&cloud), "requests reach the instances without the engine");
    etcd.signal("CONT");
    wait::until("writes go on by themselves", PATIENCE, || {
        cloud.run(&["scale", "web=2"]).status.success().then_some(())
    });
    assert_eq!(pids(&cloud), before, "the absence of the engine touches no task");
    assert!(answers(&cloud));

    // A server that is killed leads until its lease has ended; the next one waits for that.
    let server = cloud.pid().to_string();
    assert!(Command::new("kill").args(["-9", &server]).status().unwrap().success());
    wait::until("the cloud's process is gone", PATIENCE, || {
        (!cloud.run(&["status"]).status.success()).then_some(())
    });
    cloud.start_with(&["--state", &etcd.address]);
    assert_eq!(pids(&cloud), before);
    cloud.down();
}
