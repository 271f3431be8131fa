//! What to run, as people ask for it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Asks for a service. What is left out stays as it is, or takes the default when the service is new.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct DeployRequest {
    /// `hello`, `shop/worker`, `/stage/shop/web`; made from the image's name when left out.
    pub name: Option<String>,
    /// `hello:latest`, `registry.example.org/shop:v2`.
    pub image: Option<String>,
    /// One line for `/bin/sh -c`; runs in the image if there is one.
    pub command: Option<String>,
    /// Program and arguments instead of `command`.
    pub argv: Option<Vec<String>>,
    /// Added to the environment; a value of `null` takes the variable away.
    pub env: BTreeMap<String, Option<String>>,
    /// Limit of processor time, thousandths of a core.
    pub cpu_millis: Option<u64>,
    /// Limit of memory.
    pub mem_bytes: Option<u64>,
    /// Disk to reserve.
    pub disk_bytes: Option<u64>,
    /// Limit of processes and threads.
    pub pids: Option<u32>,
    /// How many instances.
    pub instances: Option<u32>,
    /// How its health is found out.
    pub health: Option<HealthRequest>,
    /// The ports it listens on inside the container; the first is routed. 0, with the host network only, asks for
    /// an allocated one.
    pub ports: Option<Vec<u16>>,
    /// `bridge` or `host`.
    pub network: Option<String>,
    /// `user`, `uid`, `user:group` or `uid:gid`.
    pub user: Option<String>,
    /// Whether the root file system refuses writes.
    pub is_root_read_only: Option<bool>,
    /// Between the stop signal and SIGKILL.
    pub kill_grace_ms: Option<u64>,
    /// How long requests in flight may take once an instance gets no new ones.
    pub drain_ms: Option<u64>,
    /// Whether there is never to be a second live copy, also when the network is cut. Price: a copy that is cut off from
    /// the cluster for longer than its lease is stopped.
    pub single: Option<bool>,
    /// Length of the lease of a single copy.
    pub lease_ms: Option<u64>,
    /// `KEY=VALUE`, `KEY!=VALUE`, `unique:KEY`, `spread:KEY`.
    pub constraints: Option<Vec<String>>,
    /// Host names beside the default one.
    pub hosts: Option<Vec<String>>,
    /// Bounds of the rolling replace: share of the wish that stays healthy, in percent.
    pub min_healthy_percent: Option<u32>,
    /// Share of the wish that may run on top, in percent.
    pub max_surge_percent: Option<u32>,
    /// A deployment that is not done by then goes back.
    pub deadline_ms: Option<u64>,
    /// A deployment that makes no step for this long goes back.
    pub no_progress_ms: Option<u64>,
    /// What for; stands in the history.
    pub message: Option<String>,
}

/// How health is found out.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct HealthRequest {
    /// `/PATH` (HTTP on the first port), `tcp`, `cmd:COMMAND` or `none`; left out: only the times change.
    pub check: Option<String>,
    /// Failures within this time after the start are forgiven.
    pub grace_ms: Option<u64>,
    /// Between two probes.
    pub interval_ms: Option<u64>,
    /// How long one probe may take.
    pub timeout_ms: Option<u64>,
    /// Failures in a row until the instance is replaced.
    pub failures: Option<u32>,
}
