//! The network on the real kernel: each test is a cloud of its own, and leaves nothing.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::AsFd as _;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use kogge_containers::image::Protocol;
use kogge_containers::network::{Attachment, Network, NetworkConfig, NetworkError, PublishedPort};
use kogge_host::tasks::TaskGroup;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

const DEADLINE: Duration = Duration::from_secs(5);

struct Cloud {
    network: Network,
    tasks: TaskGroup,
    dir: tempfile::TempDir,
    _rest: Rest,
}

/// Takes the bridge and the table away even when a test fails half-way; namespaces go with their directory.
struct Rest {
    bridge: String,
    netns: std::path::PathBuf,
}

impl Drop for Rest {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            return;
        }
        for name in std::fs::read_dir(&self.netns).into_iter().flatten().flatten() {
            let _ = rustix::mount::unmount(name.path(), rustix::mount::UnmountFlags::DETACH);
        }
        let table = format!("kogge_{}", self.bridge.trim_start_matches("kg-"));
        let _ = Command::new("nft").args(["delete", "table", "inet", &table]).status();
        let _ = Command::new("ip").args(["link", "delete", &self.bridge]).status();
    }
}

impl Cloud {
    async fn new() -> Self {
        Self::in_dir(tempfile::tempdir().unwrap()).await
    }

    async fn in_dir(dir: tempfile::TempDir) -> Self {
        let tasks = TaskGroup::new("test");
        let network = Network::open(config(dir.path()), &tasks).await.unwrap();
        Self::of(network, tasks, dir)
    }

    fn of(network: Network, tasks: TaskGroup, dir: tempfile::TempDir) -> Self {
        let rest = Rest { bridge: network.bridge().to_owned(), netns: dir.path().join("run/netns") };
        Self { network, tasks, dir, _rest: rest }
    }

    /// A new process of the same cloud: only the disk and the kernel remember.
    async fn restart(self) -> Self {
        let Self { network, tasks, dir, _rest } = self;
        drop(network);
        assert!(tasks.shutdown(DEADLINE).await.is_empty());
        Self::in_dir(dir).await
    }

    /// Removes everything and looks whether anything is left.
    async fn end(self) {
        let (bridge, runtime) = (self.network.bridge().to_owned(), self.dir.path().join("run"));
        assert!(self.tasks.shutdown(DEADLINE).await.is_empty());
        self.network.destroy().await.unwrap();
        assert_nothing_left(&bridge, &runtime);
    }
}

fn config(dir: &Path) -> NetworkConfig {
    NetworkConfig {
        cloud_tag: dir.display().to_string(),
        data_dir: dir.join("data"),
        runtime_dir: dir.join("run"),
        subnet: None,
        open_ports: Vec::new(),
    }
}

fn assert_nothing_left(bridge: &str, runtime: &Path) {
    let hash = bridge.trim_start_matches("kg-");
    let links = std::fs::read_dir("/sys/class/net").unwrap().map(|entry| entry.unwrap().file_name());
    let own: Vec<_> = links.filter(|name| name.to_str().unwrap().contains(&hash[..6])).collect();
    assert!(own.is_empty(), "links left: {own:?}");
    let tables = Command::new("nft").args(["list", "tables"]).output().unwrap().stdout;
    assert!(!String::from_utf8(tables).unwrap().contains(hash), "the table is left");
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    assert!(!mounts.contains(runtime.to_str().unwrap()), "mounts are left");
    let files: Vec<_> = std::fs::read_dir(runtime).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(files.is_empty(), "files left: {files:?}");
}

/// Runs `job` on a thread inside the task's network.
fn inside<T: Send + 'static>(
    task: &Attachment,
    job: impl FnOnce() -> T + Send + 'static,
) -> std::thread::JoinHandle<T> {
    let namespace = File::open(&task.namespace).unwrap();
    std::thread::spawn(move || {
        move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
        job()
    })
}

/// A server in the task's network that answers every connection with `answer`, as long as the test runs.
fn serve(task: &Attachment, port: u16, answer: &'static str) {
    let listener = inside(task, move || TcpListener::bind(("0.0.0.0", port)).unwrap()).join().unwrap();
    answer_all(listener, answer);
}

fn answer_all(listener: TcpListener, answer: &'static str) {
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let _ = stream.and_then(|mut stream| stream.write_all(answer.as_bytes()));
        }
    });
}

fn ask(address: impl Into<SocketAddr>) -> io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&address.into(), DEADLINE)?;
    stream.set_read_timeout(Some(DEADLINE))?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

fn ask_from(task: &Attachment, address: impl Into<SocketAddr>) -> io::Result<String> {
    let address = address.into();
    inside(task, move || ask(address)).join().unwrap()
}

/// A port of the machine that is free now, outside the range that outgoing connections take.
fn free_port() -> u16 {
    use std::sync::atomic::{AtomicU16, Ordering};
    static NEXT: AtomicU16 = AtomicU16::new(0);
    // Test programs may run side by side: each begins elsewhere.
    let start = 20_000 + u16::try_from(std::process::id() % 100).unwrap() * 100;
    loop {
        let port = start + NEXT.fetch_add(1, Ordering::Relaxed);
        if !is_taken(port) {
            return port;
        }
    }
}

/// Looked up and not tried: a child that a test beside this one forks meanwhile would hold the tried port for a moment
/// longer (proc(5), `/proc/net/tcp`).
fn is_taken(port: u16) -> bool {
    let end = format!(":{port:04X}");
    ["/proc/net/tcp", "/proc/net/tcp6"].iter().any(|table| {
        let text = std::fs::read_to_string(table).unwrap_or_default();
        text.lines().any(|line| line.split_whitespace().nth(1).is_some_and(|local| local.ends_with(&end)))
    })
}

fn tcp(host_port: u16, container_port: u16) -> PublishedPort {
    PublishedPort { host_address: None, host_port, container_port, protocol: Protocol::Tcp }
}

#[tokio::test(flavor = "multi_thread")]
async fn tasks_reach_each_other_and_publish_ports() {
    let cloud = Cloud::new().await;
    let (port, bound) = (free_port(), free_port());
    let loopback_only = PublishedPort { host_address: Some(Ipv4Addr::LOCALHOST), ..tcp(bound, 8080) };
    let a = cloud.network.attach("a.1", &[tcp(port, 8080), loopback_only]).await.unwrap();
    let b = cloud.network.attach("b.1", &[]).await.unwrap();
    serve(&a, 8080, "hello from a");
    let gateway = a.gateway;
    assert_eq!(ask((a.address, 8080)).unwrap(), "hello from a", "machine to task");
    assert_eq!(ask_from(&b, (a.address, 8080)).unwrap(), "hello from a", "task to task");
    assert_eq!(ask((Ipv4Addr::LOCALHOST, port)).unwrap(), "hello from a", "loopback to published port");
    assert_eq!(ask((gateway, port)).unwrap(), "hello from a", "own address to published port");
    assert_eq!(ask_from(&b, (gateway, port)).unwrap(), "hello from a", "task to published port");
    assert_eq!(ask_from(&a, (gateway, port)).unwrap(), "hello from a", "task to its own published port");
    assert_eq!(ask((Ipv4Addr::LOCALHOST, bound)).unwrap(), "hello from a", "bound to loopback");
    assert!(ask((gateway, bound)).is_err(), "bound to loopback only");

    let udp_port = free_port();
    let udp = PublishedPort { protocol: Protocol::Udp, ..tcp(udp_port, 5353) };
    let c = cloud.network.attach("c.1", &[udp]).await.unwrap();
    let socket = inside(&c, || UdpSocket::bind("0.0.0.0:5353").unwrap()).join().unwrap();
    std::thread::spawn(move || {
        let mut buffer = [0; 64];
        let (n, from) = socket.recv_from(&mut buffer).unwrap();
        socket.send_to(&buffer[..n], from).unwrap();
    });
    let client = UdpSocket::bind("127.0.0.1:0").unwrap();
    client.set_read_timeout(Some(DEADLINE)).unwrap();
    client.send_to(b"ping", (Ipv4Addr::LOCALHOST, udp_port)).unwrap();
    let mut buffer = [0; 64];
    assert_eq!(client.recv(&mut buffer).unwrap(), 4);

    cloud.network.detach("a.1").await.unwrap();
    assert!(ask((Ipv4Addr::LOCALHOST, port)).is_err(), "a detached task is not published");
    assert!(!a.namespace.exists());
    cloud.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tasks_do_not_reach_the_machines_own_listeners() {
    let cloud = Cloud::new().await;
    let task = cloud.network.attach("a.1", &[]).await.unwrap();
    let listener = TcpListener::bind("[::]:0").unwrap();
    let door = listener.local_addr().unwrap().port();
    answer_all(listener, "the door");
    let gateway = task.gateway;
    assert_eq!(ask((gateway, door)).unwrap(), "the door", "the machine itself reaches it");
    let machine = machine_address();
    for address in [gateway, machine] {
        let error = ask_from(&task, (address, door)).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused, "{address}: refused at once, not dropped");
    }
    cloud.network.open_ports(vec![(Protocol::Tcp, door)]).await.unwrap();
    assert_eq!(ask_from(&task, (gateway, door)).unwrap(), "the door", "opened");
    cloud.network.mend().await.unwrap();
    assert_eq!(ask_from(&task, (gateway, door)).unwrap(), "the door", "still open");
    cloud.network.open_ports(Vec::new()).await.unwrap();
    assert!(ask_from(&task, (gateway, door)).is_err(), "closed");

    let ipv6 = inside(&task, || std::fs::read_to_string("/proc/thread-self/net/if_inet6")).join().unwrap();
    assert!(!ipv6.unwrap_or_default().contains("eth0"), "no IPv6 on the link, not even link-local");
    cloud.end().await;
}

/// An address of this machine other than loopback and bridges.
fn machine_address() -> Ipv4Addr {
    let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
    match socket.connect("192.0.2.123:9").and_then(|()| socket.local_addr()) {
        Ok(SocketAddr::V4(address)) => *address.ip(),
        // No way out of here: the bridge's address has been tried already.
        _ => Ipv4Addr::LOCALHOST,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn clouds_side_by_side_are_apart() {
    let (one, two) = (Cloud::new().await, Cloud::new().await);
    assert!(!one.network.subnet().overlaps(&two.network.subnet()));
    let port = free_port();
    let a = one.network.attach("same.1", &[tcp(port, 8080)]).await.unwrap();
    let b = two.network.attach("same.1", &[]).await.unwrap();
    serve(&a, 8080, "cloud one");
    let direct = inside(&b, {
        let address = SocketAddr::from((a.address, 8080));
        move || TcpStream::connect_timeout(&address, Duration::from_millis(500)).map(drop)
    });
    assert!(direct.join().unwrap().is_err(), "no way into another cloud's subnet");
    assert_eq!(ask_from(&b, (b.gateway, port)).unwrap(), "cloud one", "published is published");
    one.end().await;
    assert!(b.namespace.exists());
    two.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_finds_everything_and_a_sweep_takes_what_is_dead() {
    let cloud = Cloud::new().await;
    let port = free_port();
    let live = cloud.network.attach("live.1", &[tcp(port, 80)]).await.unwrap();
    cloud.network.attach("dead.1", &[]).await.unwrap();
    serve(&live, 80, "alive");
    let subnet = cloud.network.subnet();

    let cloud = cloud.restart().await;
    assert_eq!(cloud.network.subnet(), subnet);
    assert_eq!(cloud.network.find("live.1"), Some(live.clone()));
    assert_eq!(ask((Ipv4Addr::LOCALHOST, port)).unwrap(), "alive");
    let next = cloud.network.attach("next.1", &[]).await.unwrap();
    assert!(cloud.network.attachments().iter().filter(|known| known.address == next.address).count() == 1);

    // A crash between file and mount, and one between namespace and note.
    File::create(cloud.dir.path().join("run/netns/stray.1")).unwrap();
    let keep = BTreeSet::from(["live.1".to_owned(), "next.1".to_owned()]);
    assert_eq!(cloud.network.sweep(&keep).await.unwrap(), ["dead.1"]);
    let names: BTreeSet<_> = std::fs::read_dir(cloud.dir.path().join("run/netns"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert_eq!(names, keep);
    assert_eq!(ask((Ipv4Addr::LOCALHOST, port)).unwrap(), "alive");
    cloud.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flushed_table_is_mended() {
    let cloud = Cloud::new().await;
    let port = free_port();
    let task = cloud.network.attach("a.1", &[tcp(port, 80)]).await.unwrap();
    serve(&task, 80, "back");
    let table = format!("kogge_{}", cloud.network.bridge().trim_start_matches("kg-"));
    assert!(Command::new("nft").args(["delete", "table", "inet", &table]).status().unwrap().success());
    assert!(ask((Ipv4Addr::LOCALHOST, port)).is_err());
    cloud.network.mend().await.unwrap();
    assert_eq!(ask((Ipv4Addr::LOCALHOST, port)).unwrap(), "back");
    assert!(Command::new("nft").args(["delete", "table", "inet", &table]).status().unwrap().success());
    cloud.network.detach("a.1").await.unwrap();
    cloud.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ports_in_use_are_told_and_nothing_is_left() {
    let cloud = Cloud::new().await;
    let listener = TcpListener::bind("0.0.0.0:0").unwrap();
    let taken = listener.local_addr().unwrap().port();
    let error = cloud.network.attach("a.1", &[tcp(taken, 80)]).await.unwrap_err();
    assert!(matches!(error, NetworkError::PortInUse { by: None, .. }), "{error}");
    let port = free_port();
    cloud.network.attach("a.1", &[tcp(port, 80)]).await.unwrap();
    let error = cloud.network.attach("b.1", &[tcp(port, 80)]).await.unwrap_err();
    assert!(error.to_string().ends_with("by task a.1"), "{error}");
    assert!(matches!(cloud.network.attach("a.1", &[]).await, Err(NetworkError::Attached { .. })));
    for bad in ["", "../x", "a/b", ".hidden", "a b"] {
        assert!(matches!(cloud.network.attach(bad, &[]).await, Err(NetworkError::BadId { .. })), "{bad:?}");
    }
    assert_eq!(cloud.network.attachments().len(), 1);
    cloud.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_attachment_leaves_nothing_behind() {
    let cloud = Cloud::new().await;
    // The name of the namespace is taken by a directory: making it fails half-way.
    let stray = cloud.dir.path().join("run/netns/a.1");
    std::fs::create_dir(&stray).unwrap();
    assert!(cloud.network.attach("a.1", &[tcp(free_port(), 80)]).await.is_err());
    std::fs::remove_dir(&stray).unwrap();
    cloud.network.detach("a.1").await.unwrap();
    cloud.network.attach("a.1", &[]).await.unwrap();
    cloud.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_at_once_share_transactions() {
    let cloud = Cloud::new().await;
    let ports: Vec<u16> = (0..50).map(|_| free_port()).collect();
    let begin = Instant::now();
    let attaching = ports.iter().enumerate().map(|(n, port)| {
        let network = cloud.network.clone();
        let ports = [tcp(*port, 80)];
        async move { network.attach(&format!("t{n}.1"), &ports).await }
    });
    let attached = futures_util::future::join_all(attaching).await;
    let took = begin.elapsed();
    let addresses: BTreeSet<Ipv4Addr> = attached.into_iter().map(|result| result.unwrap().address).collect();
    assert_eq!(addresses.len(), 50);
    assert!(took < Duration::from_secs(20), "{took:?}");
    println!("50 attachments at once took {took:?}");
    let begin = Instant::now();
    cloud.network.attach("single.1", &[tcp(free_port(), 80)]).await.unwrap();
    println!("one attachment took {:?}", begin.elapsed());
    let begin = Instant::now();
    cloud.network.detach("single.1").await.unwrap();
    println!("one detachment took {:?}", begin.elapsed());
    cloud.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subnet_that_is_routed_already_is_refused() {
    let cloud = Cloud::new().await;
    let dir = tempfile::tempdir().unwrap();
    let config = NetworkConfig { subnet: Some(cloud.network.subnet()), ..config(dir.path()) };
    let tasks = TaskGroup::new("test");
    let error = Network::open(config, &tasks).await.unwrap_err();
    assert!(matches!(error, NetworkError::SubnetTaken { .. }), "{error}");
    assert!(error.hint().is_some());
    cloud.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_subnet_changes_only_while_no_task_is_on_it() {
    let cloud = Cloud::new().await;
    cloud.network.attach("a.1", &[]).await.unwrap();
    let other = Cloud::new().await;
    let free = other.network.subnet();
    other.end().await;
    let Cloud { network, tasks, dir, .. } = cloud;
    drop(network);
    assert!(tasks.shutdown(DEADLINE).await.is_empty());
    let asking = NetworkConfig { subnet: Some(free), ..config(dir.path()) };
    let error = Network::open(asking.clone(), &TaskGroup::new("test")).await.unwrap_err();
    assert!(matches!(error, NetworkError::SubnetInUse { .. }), "{error}");
    let cloud = Cloud::in_dir(dir).await;
    cloud.network.detach("a.1").await.unwrap();
    let Cloud { network, tasks, dir, .. } = cloud;
    drop(network);
    assert!(tasks.shutdown(DEADLINE).await.is_empty());
    let tasks = TaskGroup::new("test");
    let network = Network::open(asking, &tasks).await.unwrap();
    let a = network.attach("a.1", &[]).await.unwrap();
    assert!(network.subnet() == free && free.contains(a.address));
    serve(&a, 80, "moved");
    assert_eq!(ask((a.address, 80)).unwrap(), "moved");
    Cloud::of(network, tasks, dir).end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_end_in_the_middle_of_starts_leaves_nothing() {
    let cloud = Cloud::new().await;
    let attaching: Vec<_> = (0..20)
        .map(|n| {
            let network = cloud.network.clone();
            let attach = async move { network.attach(&format!("t{n}.1"), &[]).await.map(drop) };
            cloud.tasks.spawn(format!("attach {n}"), kogge_host::tasks::OnPanic::Log, attach)
        })
        .collect();
    // Some have begun by then: their callers are dropped, their work goes on.
    while cloud.network.attachments().len() < 5 {
        tokio::task::yield_now().await;
    }
    attaching.iter().for_each(tokio::task::JoinHandle::abort);
    cloud.end().await;
}
