//! One shim directory with a bundle, cleared away on drop.

use std::fs;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use kogge_model::id::{RunId, TaskId};
use kogge_shim::cgroup::Cgroup;
use kogge_shim::client::{Client, ShimProgram, SpawnError, Started, destroy, spawn};
use kogge_shim::config::{CONFIG_VERSION, EngineKind, LogLimits, Rootfs, ShimConfig};
use kogge_shim::protocol::EndedTask;
use serde_json::Value;
use tokio::runtime::Runtime;

use crate::bundle;

/// The program that the tests' shims run.
pub(crate) const SHIM: &str = env!("CARGO_BIN_EXE_kogge-shim-under-test");

pub(crate) const DEADLINE: Duration = Duration::from_secs(20);

static NEXT: AtomicU32 = AtomicU32::new(1);

pub(crate) struct Fixture {
    pub(crate) dir: PathBuf,
    pub(crate) config: ShimConfig,
    pub(crate) spec: Value,
    pub(crate) cgroup: String,
    runtime: Runtime,
    program: ShimProgram,
    root: tempfile::TempDir,
}

impl Fixture {
    /// A task that runs `args` on an overlay over the busybox root.
    pub(crate) fn new(args: &[&str]) -> Self {
        let root = tempfile::tempdir().unwrap();
        let id = format!("t{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let dir = root.path().join(&id);
        let layer = root.path().join("layer");
        bundle::make_rootfs(&layer);
        let paths = ["upper", "work", "merged"].map(|name| dir.join("bundle").join(name));
        paths.iter().for_each(|path| fs::create_dir_all(path).unwrap());
        let [upper, work, merged] = paths;
        let cgroup = format!("/kogge-test-{id}/task");
        let spec = bundle::spec(args, &merged, &cgroup);
        let config = ShimConfig {
            version: CONFIG_VERSION,
            task: TaskId::new(&id),
            run: RunId(7),
            bundle: dir.join("bundle"),
            rootfs: Rootfs::Overlay { lowers: vec![layer], upper, work, merged },
            state_root: root.path().join("state"),
            logs: LogLimits::default(),
            engine: EngineKind::Libcontainer,
            lease: None,
        };
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let program = ShimProgram::open(Path::new(SHIM)).unwrap();
        Self { dir, config, spec, cgroup, runtime, program, root }
    }

    pub(crate) fn shell(script: &str) -> Self {
        Self::new(&["sh", "-c", script])
    }

    pub(crate) fn root(&self) -> &Path {
        self.root.path()
    }

    pub(crate) fn program(&self) -> &ShimProgram {
        &self.program
    }

    pub(crate) fn use_program(&mut self, path: &Path) {
        self.program = ShimProgram::open(path).unwrap();
    }

    pub(crate) fn write(&self) {
        self.config.save(&self.dir).unwrap();
        fs::write(self.config.bundle.join("config.json"), self.spec.to_string()).unwrap();
    }

    pub(crate) fn try_start(&self) -> Result<Started, SpawnError> {
        self.write();
        self.block_on(spawn(&self.program, &self.dir, DEADLINE))
    }

    pub(crate) fn start(&self) -> Client {
        self.try_start()
            .unwrap_or_else(|error| panic!("{error}: {:?}", std::error::Error::source(&error)))
            .client
    }

    /// Starts the task and waits for its end.
    pub(crate) fn run(&self) -> EndedTask {
        let client = self.start();
        self.block_on(client.wait()).unwrap()
    }

    pub(crate) fn block_on<T>(&self, future: impl Future<Output = T>) -> T {
        self.runtime.block_on(async { tokio::time::timeout(DEADLINE * 3, future).await.expect("too slow") })
    }

    pub(crate) fn own_cgroup(&self) -> Cgroup {
        Cgroup::locate(Path::new(&self.cgroup)).unwrap()
    }

    /// Everything in the log, without heads.
    pub(crate) fn log(&self) -> String {
        logged_text(&self.dir.join("log"))
    }

    /// Waits until the log has `needle`.
    pub(crate) fn wait_for_log(&self, needle: &str) {
        wait_until(&format!("{needle:?} in the log"), || self.log().contains(needle));
    }
}

/// The texts of all records, a line each.
pub(crate) fn logged_text(dir: &Path) -> String {
    use kogge_model::log_record::LogRecord;
    let mut names: Vec<_> = match fs::read_dir(dir) {
        Ok(entries) => entries.map(|entry| entry.unwrap().path()).collect(),
        Err(_) => return String::new(),
    };
    names.sort();
    let mut text = Vec::new();
    for name in names {
        let Ok(segment) = fs::read(&name) else { continue };
        for line in segment.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            if let Ok(LogRecord::Text { text: line, is_partial, .. }) = LogRecord::decode(line) {
                text.extend_from_slice(line);
                if !is_partial {
                    text.push(b'\n');
                }
            }
        }
    }
    String::from_utf8_lossy(&text).into_owned()
}

pub(crate) fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + DEADLINE;
    while !is_so() {
        assert!(Instant::now() < deadline, "no {what} in time");
        std::thread::yield_now();
    }
}

impl Drop for Fixture {
    fn drop(&mut self) {
        let destroyed = self.runtime.block_on(destroy(&self.dir));
        let cgroup = self.own_cgroup();
        let parents: Vec<PathBuf> =
            cgroup.directories().iter().filter_map(|dir| dir.parent().map(Path::to_owned)).collect();
        for parent in parents {
            let _ = fs::remove_dir(parent);
        }
        if std::thread::panicking() {
            let talk = fs::read_to_string(self.dir.join("shim.log")).unwrap_or_default();
            println!("shim.log: {talk}\nlog: {}", self.log().chars().take(2_000).collect::<String>());
            return;
        }
        destroyed.unwrap();
        assert!(!cgroup.exists(), "the cgroup is left");
        let mounts = fs::read_to_string("/proc/self/mounts").unwrap();
        assert!(!mounts.contains(self.root.path().to_str().unwrap()), "a mount is left");
    }
}
