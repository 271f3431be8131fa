//! Real etcds, each a process of its own on an address of its own, gone when the test is.

use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use super::super::config::{Config, Endpoint};

/// Files for TLS between clients and a member.
#[derive(Debug, Clone)]
pub(super) struct ServerTls {
    pub(super) certificate: PathBuf,
    pub(super) key: PathBuf,
    /// Vouches for clients, which then need a certificate.
    pub(super) clients: Option<PathBuf>,
}

/// One member.
pub(super) struct Server {
    name: String,
    directory: tempfile::TempDir,
    client: SocketAddr,
    peer: SocketAddr,
    /// `name=url` of each member.
    cluster: Vec<String>,
    tls: Option<ServerTls>,
    process: Mutex<Option<Child>>,
}

impl Server {
    /// The only member of its cluster, not started yet.
    pub(super) fn new() -> Self {
        let mut server = Self::member(0);
        server.cluster = vec![server.as_peer()];
        server
    }

    /// The members of one cluster, not started yet.
    pub(super) fn ensemble(members: u8) -> Vec<Self> {
        let mut servers: Vec<Self> = (0..members).map(Self::member).collect();
        let cluster: Vec<String> = servers.iter().map(Self::as_peer).collect();
        servers.iter_mut().for_each(|server| server.cluster.clone_from(&cluster));
        servers
    }

    fn member(number: u8) -> Self {
        let (client, peer) = free_addresses();
        Self {
            name: format!("member{number}"),
            directory: directory(),
            client,
            peer,
            cluster: Vec::new(),
            tls: None,
            process: Mutex::default(),
        }
    }

    /// Before it is started.
    pub(super) fn with_tls(mut self, tls: ServerTls) -> Self {
        self.tls = Some(tls);
        self
    }

    fn as_peer(&self) -> String {
        format!("{}=http://{}", self.name, self.peer)
    }

    /// The name under which it leads.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Where clients reach it.
    pub(super) const fn client(&self) -> SocketAddr {
        self.client
    }

    pub(super) fn endpoint(&self) -> Endpoint {
        Endpoint { host: self.client.ip().to_string(), port: self.client.port() }
    }

    /// This member alone, with time for a machine that is busy with other tests.
    pub(super) fn config(&self) -> Config {
        Config { request_deadline: Duration::from_secs(20), ..Config::new(vec![self.endpoint()], "cloud") }
    }

    /// Starts it, or starts it again with what it had. It answers some time after.
    pub(super) fn start(&self) {
        let log = File::options().create(true).append(true).open(self.directory.path().join("log")).unwrap();
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        let (client, peer) = (format!("{scheme}://{}", self.client), format!("http://{}", self.peer));
        // Who is alone is elected soon; among several, a busy machine must not look like a dead member.
        let (heartbeat_ms, election_ms) = if self.cluster.len() == 1 { ("10", "100") } else { ("50", "500") };
        // The process must not outlive a test run that is killed.
        let mut command = Command::new("setpriv");
        command
            .args(["--pdeathsig", "KILL", "etcd", "--name", &self.name, "--data-dir"])
            .arg(self.directory.path().join("data"))
            .args(["--listen-client-urls", &client, "--advertise-client-urls", &client])
            .args(["--listen-peer-urls", &peer, "--initial-advertise-peer-urls", &peer])
            .args(["--initial-cluster", &self.cluster.join(",")])
            .args([
                "--heartbeat-interval",
                heartbeat_ms,
                "--election-timeout",
                election_ms,
                "--logger",
                "zap",
            ]);
        if let Some(tls) = &self.tls {
            command.arg("--cert-file").arg(&tls.certificate).arg("--key-file").arg(&tls.key);
            if let Some(clients) = &tls.clients {
                command.arg("--client-cert-auth").arg("--trusted-ca-file").arg(clients);
            }
        }
        let child = command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log).spawn();
        let child = child.expect("etcd is installed: dev/packages test");
        assert!(self.process().replace(child).is_none(), "it runs once");
    }

    /// Kills it at once.
    pub(super) fn kill(&self) {
        if let Some(mut child) = self.process().take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    fn process(&self) -> std::sync::MutexGuard<'_, Option<Child>> {
        self.process.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            let log = std::fs::read_to_string(self.directory.path().join("log")).unwrap_or_default();
            let last: Vec<&str> =
                log.lines().filter(|line| !line.contains(r#""level":"info""#)).rev().take(5).collect();
            println!("last words of {}: {last:#?}", self.name);
        }
    }
}

/// In memory where there is room for it: what is tested is not etcd's disk.
fn directory() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }.unwrap()
}

/// For clients and for members, on a loopback address that only this server has: nobody else takes its ports, also
/// not while it is down.
fn free_addresses() -> (SocketAddr, SocketAddr) {
    static NUMBER: AtomicU8 = AtomicU8::new(1);
    let process = u16::try_from(std::process::id() % 50_000).unwrap().to_be_bytes();
    let ip = Ipv4Addr::new(127, 10 + process[0], process[1], NUMBER.fetch_add(1, Ordering::Relaxed));
    let listeners = [(); 2].map(|()| TcpListener::bind((ip, 0)).unwrap());
    let [client, peer] = listeners.map(|listener| listener.local_addr().unwrap());
    (client, peer)
}
