//! Machines of a cloud, as directories of one machine.

use std::net::TcpListener;
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use kogge_testkit::cloud::{self, Answer};
use kogge_testkit::{image, remains, wait};
use serde_json::Value;
use tempfile::TempDir;

pub(crate) const PATIENCE: Duration = cloud::PATIENCE;
const SERVE: &str =
    "mkdir -p /tmp/www; hostname > /tmp/www/index.html; echo started; exec httpd -f -p 8080 -h /tmp/www";

const KOGGE: &str = env!("CARGO_BIN_EXE_kogge");

/// A data directory with whatever runs on it.
pub(crate) struct Machine {
    pub(crate) name: String,
    directory: TempDir,
}

impl Machine {
    pub(crate) fn new(name: &str) -> Self {
        let directory = tempfile::Builder::new().prefix("kogge-test-").tempdir().unwrap();
        Self { name: name.to_owned(), directory }
    }

    /// One that is a cloud of its own, and lets others in.
    pub(crate) fn first(name: &str) -> Self {
        let machine = Self::new(name);
        machine.ok(&[
            "up",
            "--detach",
            "--doors",
            "ephemeral",
            "--agents-bind",
            "127.0.0.1:0",
            "--name",
            name,
        ]);
        machine
    }

    /// So many instances that tell their names.
    pub(crate) fn deploy_web(&self, instances: usize) {
        let instances = instances.to_string();
        let web = ["deploy", "--image", "box:1", "--name", "web", "--port", "8080", "--health", "tcp"];
        let size = ["--instances", &instances, "--cpus", "0.05", "--mem", "16M", "--command", SERVE];
        self.ok(&[&web[..], &size[..]].concat());
    }

    fn data(&self) -> std::path::PathBuf {
        self.directory.path().join("data")
    }

    pub(crate) fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(KOGGE);
        command.args(words).env("KOGGE_DATA", self.data()).stdin(Stdio::null());
        command.env_remove("KOGGE_API").env_remove("KOGGE_TOKEN").current_dir(self.directory.path());
        command
    }

    pub(crate) fn run(&self, words: &[&str]) -> Output {
        self.command(words).output().unwrap()
    }

    pub(crate) fn ok(&self, words: &[&str]) -> String {
        let output = self.run(words);
        let (out, err) = (text(&output.stdout), text(&output.stderr));
        assert!(
            output.status.success(),
            "{}: kogge {}\n{out}{err}\n{}",
            self.name,
            words.join(" "),
            self.log()
        );
        out
    }

    pub(crate) fn fails(&self, words: &[&str]) -> String {
        let output = self.run(words);
        assert!(!output.status.success(), "kogge {} succeeded", words.join(" "));
        text(&output.stderr)
    }

    pub(crate) fn json(&self, words: &[&str]) -> Value {
        serde_json::from_str(&self.ok(&[words, &["--output", "json"]].concat())).unwrap()
    }

    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.data().join("kogge.log")).unwrap_or_default()
    }

    /// An address without its scheme.
    pub(crate) fn door(&self, name: &str) -> String {
        let doors: Value =
            serde_json::from_slice(&std::fs::read(self.data().join("doors.json")).unwrap()).unwrap();
        doors[name].as_str().unwrap().trim_start_matches("http://").to_owned()
    }

    fn pid(&self) -> rustix::process::Pid {
        let doors: Value =
            serde_json::from_slice(&std::fs::read(self.data().join("doors.json")).unwrap()).unwrap();
        let pid = i32::try_from(doors["pid"].as_i64().unwrap()).unwrap();
        rustix::process::Pid::from_raw(pid).unwrap()
    }

    pub(crate) fn token(&self, more: &[&str]) -> String {
        self.json(&[&["node", "token"], more].concat())["token"].as_str().unwrap().to_owned()
    }

    /// Runs as one of several servers.
    pub(crate) fn serve(&self, state: &str) {
        self.ok(&["server", "--detach", "--doors", "ephemeral", "--state", state, "--name", &self.name]);
    }

    /// A new machine that has joined this one's cloud.
    pub(crate) fn joined(&self, name: &str) -> Self {
        let machine = Self::new(name);
        machine.join(&self.door("agents"), &self.token(&[]));
        self.agent_is(name, "ready");
        machine
    }

    pub(crate) fn join(&self, door: &str, token: &str) {
        let mut command =
            self.command(&["join", door, "--detach", "--doors", "ephemeral", "--name", &self.name]);
        let output = command.env("KOGGE_TOKEN", token).output().unwrap();
        assert!(output.status.success(), "{}\n{}", text(&output.stderr), self.log());
    }

    /// Waits until the servers see an agent so.
    pub(crate) fn agent_is(&self, name: &str, state: &str) {
        wait::until(&format!("agent {name} to be {state}"), PATIENCE, || {
            let nodes: Value =
                serde_json::from_slice(&self.run(&["node", "list", "--output", "json"]).stdout).ok()?;
            let agents = nodes.as_array()?.iter().filter(|node| node["role"] == "agent");
            agents.clone().find(|node| node["name"] == name && node["state"] == state).map(drop)
        });
    }

    pub(crate) fn leader(&self) -> Option<String> {
        let nodes: Value =
            serde_json::from_slice(&self.run(&["node", "list", "--output", "json"]).stdout).ok()?;
        let leader = nodes.as_array()?.iter().find(|node| node["leader"] == true)?;
        Some(leader["name"].as_str()?.to_owned())
    }

    pub(crate) fn healthy(&self, service: &str, count: usize) {
        wait::until(&format!("{count} healthy instances of {service}"), PATIENCE, || {
            let all: Value = serde_json::from_slice(&self.run(&["ps", "--output", "json"]).stdout).ok()?;
            let of = all.as_array()?.iter().filter(|instance| instance["service"] == service);
            let healthy = of.clone().filter(|instance| instance["healthy"] == true).count();
            (healthy == count && of.count() == count).then_some(())
        });
    }

    /// The processes of all instances.
    pub(crate) fn pids(&self, instances: &Value) -> Vec<i64> {
        let mut pids: Vec<i64> =
            instances.as_array().unwrap().iter().filter_map(|instance| instance["pid"].as_i64()).collect();
        pids.sort_unstable();
        pids
    }

    pub(crate) fn load_busybox(&self, name: &str) {
        let archive = self.directory.path().join("busybox.tar");
        image::busybox(&archive);
        self.ok(&["image", "load", &archive.to_string_lossy(), "--name", name]);
    }

    pub(crate) fn get(&self, host: &str) -> Option<Answer> {
        cloud::get(&self.door("router_http"), host, "/").ok()
    }

    /// Ends the process as a crash does.
    pub(crate) fn kill(&self) {
        let pid = self.pid();
        rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
        self.gone(pid);
    }

    fn gone(&self, pid: rustix::process::Pid) {
        let stat = format!("/proc/{}/stat", pid.as_raw_nonzero());
        wait::until(&format!("the end of {}", self.name), PATIENCE, || {
            // Whoever nobody waits for stays as a zombie.
            let text = std::fs::read_to_string(&stat).unwrap_or_default();
            (text.is_empty() || text.contains(") Z ")).then_some(())
        });
    }

    /// Ends all tasks with their supervisors, as a power cut does.
    pub(crate) fn kill_tasks(&self) {
        let tag = remains::tag(&self.data());
        for entry in std::fs::read_dir("/proc").unwrap().flatten() {
            let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<i32>().ok()) else {
                continue;
            };
            let groups = std::fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap_or_default();
            let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            if groups.contains(&format!("/kogge-{tag}/"))
                || text(&line).contains(&format!("/run/kogge/{tag}/"))
            {
                let pid = rustix::process::Pid::from_raw(pid).unwrap();
                let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
            }
        }
    }

    /// Ends the process in order.
    pub(crate) fn stop(self) {
        let pid = self.pid();
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        self.gone(pid);
    }

    /// Leaves the cloud, and leaves nothing behind.
    pub(crate) fn leave(self) {
        self.ok(&["leave"]);
        let left = remains::of(&self.data());
        assert!(left.is_empty(), "left behind by {}: {left:#?}", self.name);
    }

    pub(crate) fn down(self) {
        self.ok(&["down"]);
        let left = remains::of(&self.data());
        assert!(left.is_empty(), "left behind by {}: {left:#?}", self.name);
    }
}

impl Drop for Machine {
    /// A test that failed leaves nothing running either.
    fn drop(&mut self) {
        if std::thread::panicking() && self.data().join("doors.json").exists() {
            self.end();
        }
        remains::clear(&self.data());
    }
}

impl Machine {
    fn end(&self) {
        let _ = rustix::process::kill_process(self.pid(), rustix::process::Signal::KILL);
        if self.data().join("membership.json").exists() {
            let _ = self.run(&["leave"]);
        } else if self.data().join("agent").exists() {
            let _ = self.run(&["up", "--detach", "--doors", "ephemeral"]);
            let _ = self.run(&["down"]);
        }
    }
}

/// Requests through a router, one after the other, all the while.
pub(crate) struct Requests {
    is_over: Arc<AtomicBool>,
    thread: JoinHandle<Vec<String>>,
}

impl Requests {
    pub(crate) fn start(machine: &Machine, host: &'static str) -> Self {
        let (door, is_over) = (machine.door("router_http"), Arc::new(AtomicBool::new(false)));
        wait::until("a first answer", PATIENCE, || {
            cloud::get(&door, host, "/").ok().filter(|answer| answer.status == 200).map(drop)
        });
        let ended = Arc::clone(&is_over);
        let thread = std::thread::spawn(move || {
            let mut failed = Vec::new();
            while !ended.load(Ordering::Relaxed) {
                match cloud::get(&door, host, "/") {
                    Ok(answer) if answer.status == 200 => {}
                    Ok(answer) => failed.push(answer.text),
                    Err(error) => failed.push(error.to_string()),
                }
                std::thread::sleep(Duration::from_millis(5));
            }
            failed
        });
        Self { is_over, thread }
    }

    /// What did not succeed.
    pub(crate) fn failed(self) -> Vec<String> {
        self.is_over.store(true, Ordering::Relaxed);
        self.thread.join().unwrap()
    }
}

/// A state engine.
pub(crate) struct Engine {
    process: Child,
    pub(crate) address: String,
    _data: TempDir,
}

/// An etcd of one member.
pub(crate) fn etcd() -> Engine {
    let data = tempfile::tempdir().unwrap();
    let ports = [0, 1].map(|_| TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port());
    let urls = ports.map(|port| format!("http://127.0.0.1:{port}"));
    let process = Command::new("etcd")
        .args(["--data-dir", &data.path().display().to_string(), "--log-level", "error"])
        .args(["--listen-client-urls", &urls[0], "--advertise-client-urls", &urls[0]])
        .args(["--listen-peer-urls", &urls[1], "--initial-advertise-peer-urls", &urls[1]])
        .args(["--initial-cluster", &format!("default={}", urls[1])])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    wait::until("etcd", PATIENCE, || std::net::TcpStream::connect(("127.0.0.1", ports[0])).ok().map(drop));
    Engine { process, address: format!("etcd://127.0.0.1:{}/clouds/test", ports[0]), _data: data }
}

impl Drop for Engine {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
