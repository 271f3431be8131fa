//! A Docker daemon (Debian's docker.io) in a network namespace and a mount namespace of its own.
//!
//! In the machine's own namespace it would set the forward policy to drop and cut off whatever else runs there.

use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use anyhow::{Context, bail};
use tempfile::TempDir;

use crate::bench::outside::{Outside, Side, in_namespace};
use crate::bench::process::{Server, all, await_some, output, text};

const DAEMON: &str = "/usr/sbin/dockerd";
const CLIENT: &str = "/usr/bin/docker";

/// See the module. Everything of it goes when dropped.
pub(crate) struct Docker {
    server: Option<Server>,
    namespace: String,
    cgroup: String,
    outside: [String; 2],
    // Short: it holds sockets, whose paths may have 108 bytes.
    files: TempDir,
}

impl Docker {
    /// Starts it and loads the image under the name `busybox:latest`.
    pub(crate) fn start(outside: &mut Outside, image: &std::path::Path) -> anyhow::Result<Self> {
        let namespace = format!("kbdock{}", std::process::id());
        output(Command::new("ip").args(["netns", "add", &namespace]))?;
        let files = tempfile::Builder::new().prefix("kbd").tempdir()?;
        let cgroup = format!("kogge-bench-docker-{}", std::process::id());
        let address = [String::new(), String::new()];
        let mut docker = Self { server: None, namespace, cgroup, outside: address, files };
        let loopback = ["-n", &docker.namespace, "link", "set", "lo", "up"];
        output(Command::new("ip").args(loopback))?;
        docker.outside = outside.connect(&Side::Namespace(docker.namespace.clone()))?;
        let talk = docker.files.path().join("talk");
        let mut command = docker.daemon();
        let started = in_namespace(&docker.namespace, || Server::start(&mut command, &talk))??;
        let server = docker.server.insert(started);
        let socket = docker.files.path().join("sock");
        await_some("dockerd", || {
            server.must_live(&talk)?;
            let mut info = Command::new(CLIENT);
            info.arg("-H").arg(format!("unix://{}", socket.display())).args(["version"]);
            Ok(output(&mut info).ok())
        })?;
        let name = output(docker.client().arg("load").arg("-q").arg("-i").arg(image))?;
        if !name.contains("busybox:latest") {
            bail!("docker load said {name:?}");
        }
        Ok(docker)
    }

    /// A private mount namespace takes all its mounts along when it ends.
    fn daemon(&self) -> Command {
        let mut command = Command::new("unshare");
        let path = |name: &str| self.files.path().join(name);
        command.args(["--mount", "--propagation", "private", DAEMON]);
        command.arg("--data-root").arg(path("data")).arg("--exec-root").arg(path("exec"));
        command
            .arg("--pidfile")
            .arg(path("pid"))
            .arg("--host")
            .arg(format!("unix://{}", path("sock").display()));
        command.arg("--config-file").arg(self.configuration()).arg("--cgroup-parent").arg(&self.cgroup);
        command.args(["--storage-driver", "overlay2", "--log-level", "warn"]);
        command
    }

    /// An empty one: the machine's own settings are not ours.
    fn configuration(&self) -> PathBuf {
        let path = self.files.path().join("daemon.json");
        fs::write(&path, "{}").expect("the directory is ours");
        path
    }

    fn client(&self) -> Command {
        let mut command = Command::new(CLIENT);
        command.arg("-H").arg(format!("unix://{}", self.files.path().join("sock").display()));
        command.env_remove("DOCKER_HOST").env_remove("DOCKER_CONTEXT").stdin(Stdio::null());
        command
    }

    fn run(&self) -> Command {
        let mut command = self.client();
        command.args(["run", "--detach", "busybox:latest", "nc"]).args(&self.outside);
        command.stdout(Stdio::null()).stderr(Stdio::piped());
        command
    }

    /// Milliseconds from `count` requests at once to the last process that reached the outside.
    pub(crate) fn start_many(&self, outside: &Outside, count: usize) -> anyhow::Result<f64> {
        let begun = Instant::now();
        let clients: Vec<Child> =
            (0..count).map(|_| self.run().spawn()).collect::<Result<_, _>>().context("cannot run docker")?;
        let arrived = outside.arrivals(count);
        for client in clients {
            let done = client.wait_with_output()?;
            if !done.status.success() {
                bail!("docker run failed: {}", String::from_utf8_lossy(&done.stderr).trim());
            }
        }
        let (last, held) = arrived.context("docker run")?;
        drop(held);
        self.clear()?;
        Ok(last.duration_since(begun).as_secs_f64() * 1000.0)
    }

    /// Removes every container.
    fn clear(&self) -> anyhow::Result<()> {
        let ids = output(self.client().args(["ps", "--all", "--quiet"]))?;
        if ids.trim().is_empty() {
            return Ok(());
        }
        output(self.client().args(["rm", "--force"]).args(ids.split_whitespace())).map(drop)
    }

    /// It, its containerd and their helpers.
    fn processes(&self) -> Vec<u32> {
        let place = self.files.path().to_string_lossy().into_owned();
        let is_its = |pid: &u32| text(&format!("/proc/{pid}/cmdline")).contains(&place);
        all().into_iter().filter(|pid| *pid != std::process::id() && is_its(pid)).collect()
    }
}

impl Drop for Docker {
    fn drop(&mut self) {
        if self.server.is_some() {
            let _ = self.clear();
        }
        self.server = None;
        let _ = await_some("the end of docker's helpers", || Ok(self.processes().is_empty().then_some(())));
        let _ = output(Command::new("ip").args(["netns", "del", &self.namespace]));
        for controller in fs::read_dir("/sys/fs/cgroup").into_iter().flatten().flatten() {
            let _ = fs::remove_dir(controller.path().join(&self.cgroup));
        }
        let _ = fs::remove_dir(PathBuf::from("/sys/fs/cgroup").join(&self.cgroup));
    }
}
