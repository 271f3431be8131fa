//! Starts of tasks through one program's shim, engine beside engine: `start_bench PROGRAM ROUNDS ENGINE…` prints one
//! JSON object with the milliseconds of each round. An engine is `library` or the path of a runtime.
//!
//! From the spawn of the shim to its word that the task's program runs: overlay, namespaces, cgroups, limits, seccomp,
//! and no network.

use std::error::Error;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use kogge_model::id::{RunId, TaskId};
use kogge_shim::client::{ShimProgram, destroy, spawn};
use kogge_shim::config::{CONFIG_VERSION, EngineKind, LogLimits, Rootfs, ShimConfig};
use serde_json::{Value, json};

const DEADLINE: Duration = Duration::from_secs(20);

/// Where the tasks live.
struct Place {
    root: PathBuf,
    layer: PathBuf,
    parent: String,
}

impl Place {
    fn make(root: &Path) -> std::io::Result<Self> {
        let layer = root.join("layer");
        for directory in ["bin", "proc", "sys", "dev"] {
            fs::create_dir_all(layer.join(directory))?;
        }
        fs::copy("/bin/busybox", layer.join("bin/busybox"))?;
        symlink("busybox", layer.join("bin/sleep"))?;
        let parent = format!("/kogge-bench-{}", std::process::id());
        Ok(Self { root: root.to_owned(), layer, parent })
    }

    /// A directory with all a shim needs.
    fn prepare(&self, id: &str, engine: EngineKind) -> Result<PathBuf, Box<dyn Error>> {
        let dir = self.root.join(id);
        let bundle = dir.join("bundle");
        let paths = ["upper", "work", "merged"].map(|name| bundle.join(name));
        for path in &paths {
            fs::create_dir_all(path)?;
        }
        let [upper, work, merged] = paths;
        fs::write(bundle.join("config.json"), spec(&merged, &format!("{}/{id}", self.parent)).to_string())?;
        let config = ShimConfig {
            version: CONFIG_VERSION,
            task: TaskId::new(id),
            run: RunId(1),
            bundle,
            rootfs: Rootfs::Overlay { lowers: vec![self.layer.clone()], upper, work, merged },
            state_root: self.root.join("state"),
            logs: LogLimits::default(),
            engine,
            lease: None,
        };
        config.save(&dir)?;
        Ok(dir)
    }
}

impl Drop for Place {
    /// The tasks' cgroups are gone; their parent is ours.
    fn drop(&mut self) {
        let name = self.parent.trim_start_matches('/');
        let controllers = fs::read_dir("/sys/fs/cgroup").into_iter().flatten().flatten();
        controllers.for_each(|controller| drop(fs::remove_dir(controller.path().join(name))));
        let _ = fs::remove_dir(Path::new("/sys/fs/cgroup").join(name));
    }
}

/// A confined process with the limits and mounts that every task gets.
fn spec(root: &Path, cgroup: &str) -> Value {
    let mount = |to: &str, kind: &str, options: &[&str]| json!({"destination": to, "type": kind, "source": kind, "options": options});
    let capabilities = json!(["CAP_CHOWN", "CAP_KILL", "CAP_SETUID", "CAP_SETGID"]);
    let namespaces = ["pid", "mount", "ipc", "uts", "network"].map(|kind| json!({"type": kind}));
    let device = |major: u32, minor: u32| json!({"allow": true, "type": "c", "major": major, "minor": minor, "access": "rwm"});
    json!({
        "ociVersion": "1.0.2",
        "root": {"path": root, "readonly": false},
        "hostname": "bench",
        "process": {
            "args": ["sleep", "1000"],
            "cwd": "/",
            "env": ["PATH=/bin"],
            "user": {"uid": 0, "gid": 0},
            "noNewPrivileges": true,
            "capabilities": {"bounding": capabilities, "effective": capabilities, "permitted": capabilities},
            "rlimits": [{"type": "RLIMIT_NOFILE", "soft": 1024, "hard": 1024}],
        },
        "mounts": [
            mount("/proc", "proc", &["nosuid", "noexec", "nodev"]),
            mount("/dev", "tmpfs", &["nosuid", "strictatime", "mode=755", "size=64k"]),
            mount("/dev/pts", "devpts", &["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"]),
            mount("/dev/shm", "tmpfs", &["nosuid", "noexec", "nodev", "mode=1777", "size=1m"]),
            mount("/sys", "sysfs", &["nosuid", "noexec", "nodev", "ro"]),
        ],
        "linux": {
            "cgroupsPath": cgroup,
            "namespaces": namespaces,
            "resources": {
                "devices": [
                    {"allow": false, "access": "rwm"}, device(1, 3), device(1, 5), device(5, 0), device(5, 2)
                ],
                "memory": {"limit": 64 << 20, "swap": 64 << 20},
                "cpu": {"shares": 1024, "quota": 100_000, "period": 100_000},
                "pids": {"limit": 64},
            },
            "seccomp": {
                "defaultAction": "SCMP_ACT_ALLOW",
                "architectures": ["SCMP_ARCH_X86_64"],
                "syscalls": [{"names": ["unshare", "mount"], "action": "SCMP_ACT_ERRNO", "errnoRet": 1}],
            },
            "maskedPaths": ["/proc/kcore", "/proc/keys"],
            "readonlyPaths": ["/proc/sys"],
        },
    })
}

/// One start, and its end; milliseconds of the start.
async fn start(program: &ShimProgram, dir: &Path) -> Result<f64, Box<dyn Error>> {
    let begun = Instant::now();
    let started = spawn(program, dir, DEADLINE).await;
    let took = begun.elapsed().as_secs_f64() * 1000.0;
    destroy(dir).await?;
    started?;
    Ok(took)
}

#[expect(clippy::print_stdout, reason = "standard output is what this program is for")]
#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [program, rounds, engines @ ..] = words.as_slice() else {
        return Err("usage: start_bench PROGRAM ROUNDS ENGINE…".into());
    };
    let program = ShimProgram::open(Path::new(program))?;
    let root = tempfile::tempdir()?;
    let place = Place::make(root.path())?;
    let mut times = vec![Vec::new(); engines.len()];
    for round in 0..rounds.parse::<usize>()? {
        for (number, engine) in engines.iter().enumerate() {
            let kind = match engine.as_str() {
                "library" => EngineKind::Libcontainer,
                path => EngineKind::Runc { path: path.into() },
            };
            let dir = place.prepare(&format!("b{}-{round}-{number}", std::process::id()), kind)?;
            times[number].push(start(&program, &dir).await?);
            fs::remove_dir_all(&dir)?;
        }
    }
    let answer: serde_json::Map<String, Value> =
        engines.iter().cloned().zip(times.into_iter().map(|times| json!(times))).collect();
    println!("{}", Value::Object(answer));
    Ok(())
}
