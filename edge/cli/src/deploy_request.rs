//! From what was typed to what is asked for.

use std::collections::BTreeMap;

use kogge_model::view::{DeployRequest, HealthRequest};

use crate::args::DeployArgs;
use crate::args::deploy::{HealthArgs, Network, NetworkArgs, PlaceArgs};

impl DeployArgs {
    /// The request; nothing is checked here that the API checks.
    pub(crate) fn request(&self) -> DeployRequest {
        let (limits, upgrade) = (&self.limits, &self.upgrade);
        DeployRequest {
            name: self.name.clone(),
            image: self.image.clone(),
            command: self.command.clone(),
            argv: some(&self.argv),
            env: self.environment(),
            cpu_millis: limits.cpus.map(|cpus| cpus.0.0),
            mem_bytes: limits.mem.map(|size| size.0.0),
            disk_bytes: limits.disk.map(|size| size.0.0),
            pids: limits.pids,
            instances: self.instances,
            health: self.health.request(),
            ports: self.network.ports(),
            network: self.network.mode().map(str::to_owned),
            user: limits.user.clone(),
            is_root_read_only: limits.read_only.then_some(true),
            kill_grace_ms: upgrade.kill_grace.map(|span| span.millis()),
            drain_ms: upgrade.drain.map(|span| span.millis()),
            single: upgrade.single.then_some(true).or(upgrade.no_single.then_some(false)),
            lease_ms: upgrade.lease.map(|span| span.millis()),
            constraints: self.place.constraints(),
            hosts: some(&self.network.hosts),
            min_healthy_percent: upgrade.min_healthy,
            max_surge_percent: upgrade.max_surge,
            deadline_ms: upgrade.deadline.map(|span| span.millis()),
            no_progress_ms: None,
            message: self.message.clone(),
        }
    }

    fn environment(&self) -> BTreeMap<String, Option<String>> {
        let taken = self.unset.iter().map(|key| (key.clone(), None));
        taken.chain(self.env.iter().map(|(key, value)| (key.clone(), Some(value.clone())))).collect()
    }
}

impl NetworkArgs {
    fn mode(&self) -> Option<&'static str> {
        match (self.host_network, self.network) {
            (true, _) | (false, Some(Network::Host)) => Some("host"),
            (false, Some(Network::Bridge)) => Some("bridge"),
            (false, None) => None,
        }
    }

    /// With the host network a service has at least the one allocated port of `$PORT`.
    fn ports(&self) -> Option<Vec<u16>> {
        match (self.ports.is_empty(), self.mode()) {
            (true, Some("host")) => Some(vec![0]),
            (true, _) => None,
            (false, _) => Some(self.ports.clone()),
        }
    }
}

impl HealthArgs {
    fn request(&self) -> Option<HealthRequest> {
        let request = HealthRequest {
            check: self.health.clone(),
            grace_ms: self.health_grace.map(|span| span.millis()),
            interval_ms: self.health_interval.map(|span| span.millis()),
            timeout_ms: self.health_timeout.map(|span| span.millis()),
            failures: self.health_failures,
        };
        (request != HealthRequest::default()).then_some(request)
    }
}

impl PlaceArgs {
    fn constraints(&self) -> Option<Vec<String>> {
        let unique = self.unique.iter().map(|key| format!("unique:{key}"));
        let spread = self.spread.iter().map(|key| format!("spread:{key}"));
        some(&self.on.iter().cloned().chain(unique).chain(spread).collect::<Vec<_>>())
    }
}

fn some(list: &[String]) -> Option<Vec<String>> {
    (!list.is_empty()).then(|| list.to_vec())
}
