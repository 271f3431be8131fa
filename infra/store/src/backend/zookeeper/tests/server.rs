//! Servers of our own: a process each, on ports of the loopback, gone with the test.

use std::io::{BufRead, BufReader};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::OnceCell;

use super::super::config::Host;
use super::super::dial::Dialer;
use super::super::probe::{self, Member};
use super::Config;

/// How long a server may take to serve.
const START: Duration = Duration::from_secs(60);
const JAR: &str = "/usr/share/java/zookeeper.jar";
/// What the jar forgets to name; only TLS needs it.
const MORE_JARS: &str = "/usr/share/java/netty-codec.jar:/usr/share/java/netty-resolver.jar:/usr/share/java/netty-transport-native-unix-common.jar";

/// Sh says the server's number, and ends it when the test lets go of the pipe or dies itself. Then it removes the
/// directory, if nobody else does.
const GUARDIAN: &str = r#"
dir=$1; last=$2; shift 2
"$@" >"$dir/output" 2>&1 </dev/null &
echo $!
cat >/dev/null
kill -9 $!
wait
[ "$last" = keep ] || rm -rf "$dir"
"#;

/// A running server.
#[derive(Debug)]
struct Process {
    guardian: Child,
    pid: i32,
}

impl Process {
    fn start(directory: &Path, main: &str, last: &str) -> Self {
        assert!(Path::new(JAR).exists(), "package libzookeeper-java is missing: run dev/packages test");
        let java =
            ["java", "-Xms32m", "-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto"];
        let mut guardian = Command::new("sh")
            .args(["-c", GUARDIAN, "sh"])
            .args([directory.as_os_str(), last.as_ref()])
            .args(java)
            .args(["-Dzookeeper.admin.enableServer=false", "-cp", &format!("{JAR}:{MORE_JARS}"), main])
            .arg(directory.join("zoo.cfg"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(guardian.stdout.take().unwrap()).read_line(&mut line).unwrap();
        Self { guardian, pid: line.trim().parse().unwrap() }
    }
}

/// Kills, as `kill -9` does.
impl Drop for Process {
    fn drop(&mut self) {
        drop(self.guardian.stdin.take());
        let _ = self.guardian.wait();
    }
}

/// One server, with its data.
#[derive(Debug)]
pub(super) struct Server {
    directory: PathBuf,
    main: &'static str,
    pub(super) port: u16,
    /// What becomes of its directory: `keep` or `remove`.
    last: &'static str,
    process: Option<Process>,
}

impl Server {
    /// With these lines in its configuration, not started.
    fn prepare(directory: &Path, main: &'static str, port: u16, config: &str) -> Self {
        std::fs::create_dir_all(directory).unwrap();
        let text = format!(
            "tickTime=200\nmaxClientCnxns=0\ndataDir={}\n4lw.commands.whitelist=srvr\n{config}\n",
            directory.display()
        );
        std::fs::write(directory.join("zoo.cfg"), text).unwrap();
        Self { directory: directory.to_owned(), main, port, last: "keep", process: None }
    }

    pub(super) fn start(&mut self) {
        assert!(self.process.is_none(), "it is not running");
        self.process = Some(Process::start(&self.directory, self.main, self.last));
    }

    pub(super) fn kill(&mut self) {
        self.process = None;
    }

    pub(super) fn is_running(&self) -> bool {
        self.process.is_some()
    }

    /// Stops it, without anybody noticing but by its silence.
    pub(super) fn pause(&self) {
        self.signal(rustix::process::Signal::STOP);
    }

    pub(super) fn resume(&self) {
        self.signal(rustix::process::Signal::CONT);
    }

    fn signal(&self, signal: rustix::process::Signal) {
        let process = self.process.as_ref().expect("it is running");
        let pid = rustix::process::Pid::from_raw(process.pid).unwrap();
        rustix::process::kill_process(pid, signal).unwrap();
    }

    /// What it says about itself, once it serves.
    pub(super) async fn serves(&self) -> Member {
        let begun = Instant::now();
        let (dialer, host) = (Dialer::new(None).unwrap(), Host { name: "127.0.0.1".into(), port: self.port });
        loop {
            if let Some(member) = probe::ask(&dialer, &host).await {
                return member;
            }
            assert!(begun.elapsed() < START, "no server on port {} in {:?}", self.port, self.directory);
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// An address under a path that nobody used.
    pub(super) fn fresh(&self) -> Config {
        fresh_path(&[self.port])
    }
}

/// An address of these ports, under a path that nobody used.
pub(super) fn fresh_path(ports: &[u16]) -> Config {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let hosts: Vec<String> = ports.iter().map(|port| format!("127.0.0.1:{port}")).collect();
    format!("zk://{}/test/{number}", hosts.join(",")).parse().unwrap()
}

/// A port that nobody answers at, outside the range from which the kernel gives them away: a server that is started
/// again finds it free. It is not tried by listening: a child forked meanwhile would hold it for a moment longer.
pub(super) fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let start = 16_000 + u16::try_from(std::process::id() % 60).unwrap() * 60;
    loop {
        let port = start + NEXT.fetch_add(1, Ordering::Relaxed);
        if TcpStream::connect(("127.0.0.1", port)).is_err() {
            return port;
        }
    }
}

/// One server alone.
pub(super) fn standalone(directory: &Path, more: &str) -> Server {
    let port = free_port();
    let config = format!("clientPort={port}\nclientPortAddress=127.0.0.1\n{more}");
    Server::prepare(directory, "org.apache.zookeeper.server.ZooKeeperServerMain", port, &config)
}

/// Members that know each other.
pub(super) fn ensemble(directory: &Path, size: usize) -> Vec<Server> {
    let ports: Vec<[u16; 3]> = (0..size).map(|_| [free_port(), free_port(), free_port()]).collect();
    let mut config = "initLimit=100\nsyncLimit=10\nstandaloneEnabled=false\n".to_owned();
    for (n, [client, quorum, election]) in ports.iter().enumerate() {
        config.push_str(&format!("server.{n}=127.0.0.1:{quorum}:{election};127.0.0.1:{client}\n"));
    }
    let prepare = |(n, [client, ..]): (usize, &[u16; 3])| {
        let directory = directory.join(n.to_string());
        let main = "org.apache.zookeeper.server.quorum.QuorumPeerMain";
        let server = Server::prepare(&directory, main, *client, &config);
        std::fs::write(directory.join("myid"), n.to_string()).unwrap();
        server
    };
    ports.iter().enumerate().map(prepare).collect()
}

/// The server that all tests of this process share. Its guardian ends it with the process.
pub(super) async fn shared() -> &'static Server {
    static SHARED: OnceCell<Server> = OnceCell::const_new();
    SHARED
        .get_or_init(|| async {
            let directory = tempfile::tempdir().unwrap().keep();
            let mut server = standalone(&directory, "");
            server.last = "remove";
            server.start();
            server.serves().await;
            server
        })
        .await
}
