//! One machine's cloud in a temporary place, with names of its own, and proof that nothing of it is left.

use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, AtomicU32, Ordering};
use std::time::Duration;

use kogge_agent::{Agent, AgentConfig, AgentHandle, Leaving, Link, LogWish, Stores};
use kogge_containers::Workers;
use kogge_containers::image::{ImageStore, Limits as ImageLimits, Peer};
use kogge_host::tasks::TaskGroup;
use kogge_model::id::TaskId;
use kogge_model::image::ImageRef;
use kogge_model::port::Port;
use kogge_model::reason::Reason;
use kogge_model::resources::{Bytes, Resources};
use kogge_model::task::{PortBinding, TaskSpec};
use kogge_model::template::{Command, Limits, TaskTemplate};
use kogge_model::variables::Variables;
use kogge_telemetry::LogEntry;

use crate::busybox;
use crate::control::Control;

/// Tests run at the same time: each cloud has a tag of its own.
static CLOUDS: AtomicU32 = AtomicU32::new(0);

/// Host ports given out to tests; a part of the machine's range that nothing else of ours uses.
static PORTS: AtomicU16 = AtomicU16::new(27_000);

/// A free host port.
pub(crate) fn port() -> Port {
    loop {
        let number = PORTS.fetch_add(1, Ordering::Relaxed);
        if std::net::TcpListener::bind((Ipv4Addr::UNSPECIFIED, number)).is_ok() {
            return Port::new(number).unwrap();
        }
    }
}

/// Where a cloud lives; it outlives its agents.
pub(crate) struct Place {
    dir: tempfile::TempDir,
    tag: String,
    pub(crate) control: Control,
}

/// An agent that runs there.
pub(crate) struct Cloud {
    pub(crate) agent: AgentHandle,
    pub(crate) control: Control,
    pub(crate) image: ImageRef,
    pub(crate) links: TaskGroup,
}

impl Place {
    pub(crate) fn new() -> Self {
        let _ = tracing_subscriber::fmt()
            .with_env_filter(tracing_subscriber::EnvFilter::from_default_env())
            .with_test_writer()
            .try_init();
        let number = CLOUDS.fetch_add(1, Ordering::Relaxed);
        let tag = format!("t{:x}{number:x}", std::process::id() % 0xffff);
        Self { dir: tempfile::tempdir().unwrap(), tag, control: Control::new() }
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.dir.path().join("data/agent")
    }

    pub(crate) fn config(&self) -> AgentConfig {
        let runtime = self.dir.path().join("run");
        let address = IpAddr::V4(Ipv4Addr::LOCALHOST);
        AgentConfig {
            shim_program: env!("CARGO_BIN_EXE_kogge-agent-under-test").into(),
            ..AgentConfig::new(self.data(), runtime, self.tag.clone(), address)
        }
    }

    /// Starts an agent with a good link.
    pub(crate) async fn start(&self) -> Cloud {
        let links = TaskGroup::new("links");
        let link = self.control.link(&links);
        self.start_with(link, links).await
    }

    pub(crate) async fn start_with(&self, link: Link, links: TaskGroup) -> Cloud {
        let workers = Workers::new(4);
        let images = self.dir.path().join("data/images");
        std::fs::create_dir_all(&images).unwrap();
        let images = ImageStore::open(&images, ImageLimits::default(), workers.clone()).unwrap();
        let image = busybox::load(&images).await;
        let stores = Stores { images, workers, peer: None };
        self.start_as(self.config(), link, links, stores, image).await
    }

    /// Starts an agent that has no image; `peer` has `image`. It brings up one task at a time.
    pub(crate) async fn start_beside(&self, peer: Arc<dyn Peer>, image: ImageRef) -> Cloud {
        let (workers, links) = (Workers::new(4), TaskGroup::new("links"));
        let images = self.dir.path().join("data/images");
        std::fs::create_dir_all(&images).unwrap();
        let images = ImageStore::open(&images, ImageLimits::default(), workers.clone()).unwrap();
        let config = AgentConfig { max_starting: 1, ..self.config() };
        let stores = Stores { images, workers, peer: Some(peer) };
        self.start_as(config, self.control.link(&links), links, stores, image).await
    }

    async fn start_as(
        &self,
        config: AgentConfig,
        link: Link,
        links: TaskGroup,
        stores: Stores,
        image: ImageRef,
    ) -> Cloud {
        let agent = Agent::start(config, link, stores).await;
        let agent = agent.unwrap_or_else(|error| panic!("{error}: {:?}", std::error::Error::source(&error)));
        Cloud { agent, control: self.control.clone(), image, links }
    }

    /// Everything on this machine that carries the cloud's name.
    pub(crate) fn remains(&self) -> Vec<String> {
        let mut found = Vec::new();
        let dir = self.dir.path().display().to_string();
        let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
        found.extend(mounts.lines().filter(|line| line.contains(&dir)).map(|line| format!("mount {line}")));
        let parent = format!("kogge-{}", self.tag);
        found.extend(cgroups(&parent).into_iter().map(|path| format!("cgroup {}", path.display())));
        found.extend(processes(&dir).into_iter().map(|line| format!("process {line}")));
        let bridge = kogge_model::digest::Digest::of(self.tag.as_bytes()).hex()[..8].to_owned();
        let veth = format!("kv{}-", &bridge[..6]);
        for link in std::fs::read_dir("/sys/class/net").unwrap() {
            let name = link.unwrap().file_name().into_string().unwrap();
            if name == format!("kg-{bridge}") || name.starts_with(&veth) {
                found.push(format!("link {name}"));
            }
        }
        let tables = std::process::Command::new("nft").args(["list", "tables"]).output().unwrap();
        let tables = String::from_utf8(tables.stdout).unwrap();
        found.extend(tables.lines().filter(|line| line.contains(&bridge)).map(|line| format!("nft {line}")));
        if self.dir.path().join("run").exists() {
            found.push("the runtime directory".to_owned());
        }
        found
    }
}

/// A test that fails must not disturb the others: what its cloud has on the machine goes with it.
impl Drop for Place {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            return;
        }
        let run =
            |program: &str, args: &[&str]| drop(std::process::Command::new(program).args(args).output());
        let parent = PathBuf::from(format!("/kogge-{}", self.tag));
        let _ =
            kogge_shim::cgroup::Cgroup::locate(&parent).and_then(|one| one.remove(Duration::from_secs(5)));
        let digest = kogge_model::digest::Digest::of(self.tag.as_bytes()).hex()[..8].to_owned();
        let veth = format!("kv{}-", &digest[..6]);
        for link in std::fs::read_dir("/sys/class/net").into_iter().flatten().flatten() {
            let name = link.file_name().into_string().unwrap_or_default();
            if name.starts_with(&veth) || name == format!("kg-{digest}") {
                run("ip", &["link", "delete", &name]);
            }
        }
        let tables = std::process::Command::new("nft").args(["list", "tables"]).output();
        let tables =
            tables.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
        for table in tables.lines().filter(|line| line.contains(&digest)) {
            let words: Vec<&str> = table.split_whitespace().skip(1).collect();
            run("nft", &[&["delete", "table"], words.as_slice()].concat());
        }
    }
}

fn cgroups(parent: &str) -> Vec<PathBuf> {
    let hierarchies = std::fs::read_dir("/sys/fs/cgroup").unwrap().map(|entry| entry.unwrap().path());
    let roots = hierarchies.chain([PathBuf::from("/sys/fs/cgroup")]);
    roots.map(|root| root.join(parent)).filter(|path| path.exists()).collect()
}

/// Processes whose command line names something in `dir`.
fn processes(dir: &str) -> Vec<String> {
    let pids =
        std::fs::read_dir("/proc").unwrap().filter_map(|entry| entry.unwrap().file_name().into_string().ok());
    let pids = pids.filter(|name| name.bytes().all(|byte| byte.is_ascii_digit()));
    let lines = pids.filter_map(|pid| {
        let line = std::fs::read(format!("/proc/{pid}/cmdline")).ok()?;
        Some(format!("{pid} {}", String::from_utf8_lossy(&line).replace('\0', " ")))
    });
    lines.filter(|line| line.contains(dir)).collect()
}

impl Cloud {
    /// A task that runs `line` in busybox's shell.
    pub(crate) fn shell(&self, name: &str, line: &str) -> TaskSpec {
        let template = TaskTemplate {
            image: Some(self.image.clone()),
            command: Some(Command::Shell(line.to_owned())),
            limits: Limits { mem_bytes: Bytes::mib(32), pids: 32, ..Limits::default() },
            ..TaskTemplate::default()
        };
        spec(name, template)
    }

    /// Ends everything; nothing may be left.
    pub(crate) async fn end(self, place: &Place) {
        let laggards = self.agent.shutdown(Leaving::End(Reason::new("the test is over"))).await;
        assert!(laggards.is_empty(), "laggards: {laggards:?}");
        self.links.shutdown(Duration::from_secs(5)).await;
        let remains = place.remains();
        assert!(remains.is_empty(), "left behind: {remains:#?}");
    }

    /// Everything `task` has written.
    pub(crate) async fn log(&self, task: &TaskId) -> String {
        let mut batches = self.agent.logs(vec![task.clone()], LogWish::default()).await.unwrap();
        let mut text = String::new();
        while let Some(batch) = batches.recv().await {
            for line in batch {
                match line.entry {
                    LogEntry::Line { text: line, .. } => text.push_str(&format!("{line}\n")),
                    LogEntry::Gap { lost, .. } => text.push_str(&format!("gap of {lost:?}\n")),
                }
            }
        }
        text
    }
}

/// A task of `template`, with a host port for each of its ports.
pub(crate) fn spec(name: &str, template: TaskTemplate) -> TaskSpec {
    let ports = template.ports.iter().map(|wish| {
        let host_port = wish.host_port.unwrap_or_else(port);
        PortBinding { host_port, container_port: wish.container_port.unwrap_or(host_port) }
    });
    TaskSpec {
        task: TaskId::new(name),
        instance: None,
        ports: ports.collect(),
        template: Arc::new(template),
        resources: Resources::default(),
        env: Variables::default(),
    }
}

/// Changes a task's template.
pub(crate) fn with(mut spec: TaskSpec, change: impl FnOnce(&mut TaskTemplate)) -> TaskSpec {
    let mut template = (*spec.template).clone();
    change(&mut template);
    let name = spec.task.as_str().to_owned();
    spec = self::spec(&name, template);
    spec
}

/// Waits until `is_so`.
pub(crate) async fn eventually(what: &str, is_so: impl AsyncFn() -> bool) {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(30);
    while !is_so().await {
        assert!(tokio::time::Instant::now() < deadline, "it never came about: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Whether a process is alive (and no zombie).
pub(crate) fn is_alive(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(')').is_some_and(|(_, rest)| !rest.trim_start().starts_with(['Z', 'X']))
}
