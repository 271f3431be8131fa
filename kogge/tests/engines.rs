//! The state on an engine of its own: the cloud moves there without an interruption, and outlives the engine's absence.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use kogge_testkit::cloud::PATIENCE;
use kogge_testkit::{CloudUnderTest, wait};

const KOGGE: &str = env!("CARGO_BIN_EXE_kogge");
const SERVE: &str = "mkdir -p /tmp/www; echo up > /tmp/www/index.html; exec httpd -f -p 8080 -h /tmp/www";

/// The program of an engine, on this machine.
struct Engine {
    process: Child,
    name: &'static str,
    address: String,
    _data: tempfile::TempDir,
}

impl Engine {
    fn etcd() -> Self {
        let data = tempfile::tempdir().unwrap();
        let ports = [free_port(), free_port()];
        let urls = ports.map(|port| format!("http://127.0.0.1:{port}"));
        let cluster = format!("default={}", urls[1]);
        let mut command = Command::new("etcd");
        command
            .args(["--data-dir", &data.path().display().to_string(), "--log-level", "error"])
            .args(["--listen-client-urls", &urls[0], "--advertise-client-urls", &urls[0]])
            .args(["--listen-peer-urls", &urls[1], "--initial-advertise-peer-urls", &urls[1]])
            .args(["--initial-cluster", &cluster]);
        Self::start(command, "etcd", format!("etcd://127.0.0.1:{}/clouds/test", ports[0]), data)
    }

    fn zookeeper() -> Self {
        let (data, port) = (tempfile::tempdir().unwrap(), free_port());
        let file = data.path().join("zoo.cfg");
        let text = format!(
            "tickTime=500\ndataDir={}\nclientPort={port}\nclientPortAddress=127.0.0.1\n\
             admin.enableServer=false\n4lw.commands.whitelist=srvr\n",
            data.path().display()
        );
        std::fs::write(&file, text).unwrap();
        let mut command = Command::new("java");
        command
            .args(["-Xmx128m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"])
            .args(["-cp", "/usr/share/java/zookeeper.jar"])
            .args(["org.apache.zookeeper.server.ZooKeeperServerMain", &file.display().to_string()]);
        Self::start(command, "zookeeper", format!("zk://127.0.0.1:{port}/clouds/test"), data)
    }

    fn start(mut command: Command, name: &'static str, address: String, data: tempfile::TempDir) -> Self {
        let process = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        Self { process, name, address, _data: data }
    }

    /// Sends it a signal by name.
    fn signal(&self, name: &str) {
        let id = self.process.id().to_string();
        assert!(Command::new("kill").args(["-s", name, &id]).status().unwrap().success());
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A port that nobody answers at, outside the range from which the kernel gives them away. It is not tried by listening: a
/// child that the test beside this one forks meanwhile would hold it for a moment longer.
fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let start = 12_000 + u16::try_from(std::process::id() % 400).unwrap() * 10;
    loop {
        let port = start + NEXT.fetch_add(1, Ordering::Relaxed);
        if TcpStream::connect(("127.0.0.1", port)).is_err() {
            return port;
        }
    }
}

fn pids(cloud: &CloudUnderTest) -> Vec<u64> {
    cloud.healthy("web", 2).iter().filter_map(|instance| instance["pid"].as_u64()).collect()
}

fn answers(cloud: &CloudUnderTest) -> bool {
    cloud.get("web.localhost", "/").is_ok_and(|answer| answer.text.contains("up"))
}

#[test]
fn a_cloud_moves_to_etcd_and_outlives_its_absence() {
    moves_and_outlives(&Engine::etcd());
}

#[test]
fn a_cloud_moves_to_zookeeper_and_outlives_its_absence() {
    moves_and_outlives(&Engine::zookeeper());
}

fn moves_and_outlives(engine: &Engine) {
    let cloud = CloudUnderTest::up(KOGGE);
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
    cloud.ok(&["state", "copy", "--from", &own, "--to", &engine.address]);
    assert_eq!(cloud.json(&["state", "check", "--state", &engine.address])["engine"], engine.name);
    cloud.start_with(&["--state", &engine.address]);
    assert_eq!(pids(&cloud), before, "the move touches no task");

    // Away: no answer at all, for longer than the lease of the lead.
    engine.signal("STOP");
    let written = Instant::now();
    let told = cloud.fails(&["scale", "web=3"]);
    assert!(told.contains("error: ") && written.elapsed() < PATIENCE, "{told}");
    wait::until("writes are turned away at once, with the reason", PATIENCE, || {
        let asked = Instant::now();
        let told = cloud.fails(&["scale", "web=3"]);
        (asked.elapsed() < Duration::from_secs(2)).then_some(told)
    });
    assert!(answers(&cloud), "requests reach the instances without the engine");
    engine.signal("CONT");
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
    cloud.start_with(&["--state", &engine.address]);
    assert_eq!(pids(&cloud), before);
    cloud.down();
}
