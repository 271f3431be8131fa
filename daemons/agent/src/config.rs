//! What an agent is told once, at its start.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use kogge_containers::image::Protocol;
use kogge_containers::network::Subnet;
use kogge_model::attribute::Attributes;
use kogge_model::id::{AgentId, ClusterId};
use kogge_model::port::{Port, PortSet};
use kogge_model::resources::{Bytes, CpuMillis};

/// One agent's settings.
#[derive(Debug, Clone)]
pub struct AgentConfig {
    /// Its own directory, durable: identity, records, containers.
    pub data: PathBuf,
    /// For what a reboot may take away: runtime state. On a tmpfs.
    pub runtime: PathBuf,
    /// Tells this cloud from others on the machine: bridge, cgroups and nftables carry it. 1 to 8 of `a-z`, `0-9`.
    pub cloud: String,
    /// The agent's name for people; the host's name if none.
    pub name: Option<String>,
    /// The address other machines reach its published ports at.
    pub address: IpAddr,
    /// Who it is, where something else says so, such as its certificate. None: whoever the directory is of.
    pub agent: Option<AgentId>,
    /// The cluster it shall belong to; an agent of another one refuses to start. None: whichever accepts it first.
    pub cluster: Option<ClusterId>,
    /// Instead of what the machine has.
    pub resources: ResourceOverrides,
    /// Memory that is not offered, for the machine itself and for Kogge.
    pub mem_reserve: Bytes,
    /// What constraints can ask for, beside `agent`, `hostname` and `arch`.
    pub attributes: Attributes,
    /// The program that shims run, with `shim DIR` as its arguments; usually `/proc/self/exe`.
    pub shim_program: PathBuf,
    /// Directories that tasks without an image must not see, beside [`AgentConfig::data`] and
    /// [`AgentConfig::runtime`].
    pub hidden: Vec<PathBuf>,
    /// A fixed subnet for the cloud's bridge; a free one is found if none.
    pub subnet: Option<Subnet>,
    /// Listeners of this machine that tasks on the bridge may reach, such as the router; no others.
    pub open_ports: Vec<(Protocol, u16)>,
    /// Starts at once.
    pub max_starting: usize,
    /// How long one start may take, pulling its image not included.
    pub start_deadline: Duration,
    /// Ended tasks whose logs are kept.
    pub kept_ended: usize,
}

/// Resources that are offered instead of those that were detected.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ResourceOverrides {
    /// Processor time.
    pub cpu_millis: Option<CpuMillis>,
    /// Memory.
    pub mem_bytes: Option<Bytes>,
    /// Disk.
    pub disk_bytes: Option<Bytes>,
    /// Host ports.
    pub ports: Option<PortSet>,
}

impl AgentConfig {
    /// Settings with the usual defaults.
    #[must_use]
    pub fn new(data: PathBuf, runtime: PathBuf, cloud: impl Into<String>, address: IpAddr) -> Self {
        Self {
            data,
            runtime,
            cloud: cloud.into(),
            name: None,
            address,
            agent: None,
            cluster: None,
            resources: ResourceOverrides::default(),
            mem_reserve: Bytes::mib(256),
            attributes: Attributes::new(),
            shim_program: PathBuf::from("/proc/self/exe"),
            hidden: Vec::new(),
            subnet: None,
            open_ports: Vec::new(),
            max_starting: 16,
            start_deadline: Duration::from_secs(30),
            kept_ended: 100,
        }
    }
}

/// The host ports that are offered by default, as Mesos does.
///
/// # Panics
/// Never: both ends are ports.
#[must_use]
pub fn default_ports() -> PortSet {
    let port = |number| Port::new(number).expect("it is not 0");
    PortSet::range(port(31_000), port(32_000))
}
