//! What each instance of a service runs. A change of the template replaces instances; nothing else does.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::health::HealthCheck;
use crate::image::ImageRef;
use crate::lease::Lease;
use crate::port::Port;
use crate::resources::{Bytes, CpuMillis};

/// One process to run: where from, with what, within which limits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct TaskTemplate {
    /// The image; without one the command runs on a read-only view of the agent's own files.
    pub image: Option<ImageRef>,
    /// Overrides the image's own command; required without an image.
    pub command: Option<Command>,
    /// Environment on top of the image's.
    pub env: BTreeMap<String, String>,
    /// Limits, always enforced.
    pub limits: Limits,
    /// How the task meets the network.
    pub network: NetworkMode,
    /// Ports it listens on; the first is the one that is routed.
    pub ports: Vec<PortSpec>,
    /// `user`, `uid`, `user:group` or `uid:gid`; none means the image's own.
    pub user: Option<String>,
    /// Whether the root file system refuses writes.
    pub is_root_read_only: bool,
    /// How its health is found out; none means running is healthy.
    pub health: Option<HealthCheck>,
    /// Between the stop signal and SIGKILL.
    pub kill_grace_ms: u64,
    /// How long requests in flight may take once it gets no new ones.
    pub drain_ms: u64,
    /// There is never a second live copy (G9): the task's supervisor ends it this long after the cluster last granted it
    /// time. None: an ordinary task, which runs on whoever can be reached.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lease_ms: Option<u64>,
    /// Raised by `kogge restart`: replaces the instances though nothing else has changed.
    pub restart_count: u64,
}

impl Default for TaskTemplate {
    fn default() -> Self {
        Self {
            image: None,
            command: None,
            env: BTreeMap::new(),
            limits: Limits::default(),
            network: NetworkMode::default(),
            ports: Vec::new(),
            user: None,
            is_root_read_only: false,
            health: None,
            kill_grace_ms: 10_000,
            drain_ms: 30_000,
            lease_ms: None,
            restart_count: 0,
        }
    }
}

impl TaskTemplate {
    /// The digest of everything that makes an instance outdated when it changes.
    ///
    /// # Panics
    /// Never: a template is plain data.
    #[must_use]
    pub fn digest(&self) -> Digest {
        Digest::of(&serde_json::to_vec(self).expect("a template is plain data with text keys"))
    }

    /// See [`TaskTemplate::kill_grace_ms`].
    #[must_use]
    pub const fn kill_grace(&self) -> Duration {
        Duration::from_millis(self.kill_grace_ms)
    }

    /// See [`TaskTemplate::drain_ms`].
    #[must_use]
    pub const fn drain(&self) -> Duration {
        Duration::from_millis(self.drain_ms)
    }

    /// What holds if there is to be a single copy.
    #[must_use]
    pub fn lease(&self) -> Option<Lease> {
        self.lease_ms.map(Lease::new)
    }
}

/// What is run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Command {
    /// One line for `/bin/sh -c`.
    Shell(String),
    /// Program and arguments, run as they are.
    Exec(Vec<String>),
}

/// Limits of one instance. They are set for every task, there is no "unlimited".
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Limits {
    /// Processor time, both reserved and the ceiling.
    pub cpu_millis: CpuMillis,
    /// Memory; swap is not granted on top.
    pub mem_bytes: Bytes,
    /// Disk that is reserved.
    pub disk_bytes: Bytes,
    /// Processes and threads.
    pub pids: u32,
    /// Open files a process.
    pub open_files: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            cpu_millis: CpuMillis(100),
            mem_bytes: Bytes::mib(128),
            disk_bytes: Bytes(0),
            pids: 512,
            open_files: 65_536,
        }
    }
}

/// How a task meets the network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NetworkMode {
    /// An address of its own on the cloud's bridge; host ports are published to it.
    #[default]
    Bridge,
    /// The agent's own network; it listens on the host ports it was given (`$PORT`, `$PORT0`, …).
    Host,
}

/// One port a task listens on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PortSpec {
    /// The port inside the container; with the host network none: the allocated one is used.
    pub container_port: Option<Port>,
    /// A fixed host port, if it must be that one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host_port: Option<Port>,
}
