//! What `services` knows, as the catalog needs it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use kogge_discovery::{Instance as Entry, InstanceState, Route};
use kogge_model::health::Health;
use kogge_model::id::{RunId, TaskId};
use kogge_model::name::ServiceId;
use kogge_model::reason::Reason;
use kogge_model::service::ServiceSpec;
use kogge_services::{Instance, Phase};

use crate::cloud::Cloud;

/// A run that gets no new requests.
#[derive(Debug, Clone)]
pub(crate) struct Drain {
    service: ServiceId,
    task: TaskId,
    /// Whether somebody already waits for its end.
    is_awaited: bool,
}

impl Cloud {
    /// Brings the catalog's part of one service up to date.
    pub(crate) fn refresh_catalog(&mut self, service: &ServiceId) {
        let is_routed = self.tree.service(service).is_some_and(|spec| !spec.template.ports.is_empty());
        if !is_routed {
            if self.discovery.catalog_mut().forget(service) {
                self.refresh_routes();
            }
            return;
        }
        let why = self.why_no_backend(service);
        self.note_drains(service);
        let known = self.services.get(service);
        let entries: Vec<Entry> = known
            .into_iter()
            .flat_map(|known| known.instances.values())
            .filter_map(|instance| self.entry_of(instance))
            .collect();
        let is_new = self.discovery.catalog().service(service).is_none();
        let catalog = self.discovery.catalog_mut();
        catalog.declare(service, why);
        let living: BTreeSet<RunId> = entries.iter().map(|entry| entry.run).collect();
        let listed: Vec<RunId> = catalog
            .service(service)
            .into_iter()
            .flat_map(|entry| entry.instances())
            .map(|entry| entry.run)
            .collect();
        for run in listed.into_iter().filter(|run| !living.contains(run)) {
            catalog.end(run);
        }
        for entry in entries {
            catalog.record(entry);
        }
        if is_new || !self.tree.service(service).is_none_or(|spec| spec.routes.is_empty()) {
            self.refresh_routes();
        }
    }

    fn note_drains(&mut self, service: &ServiceId) {
        let known = self.services.get(service);
        let draining: BTreeMap<RunId, TaskId> = known
            .into_iter()
            .flat_map(|known| known.instances.values())
            .filter(|instance| matches!(instance.phase, Phase::Draining { .. }))
            .filter_map(|instance| {
                instance.attempt().and_then(|attempt| Some((attempt.run?, attempt.task.clone())))
            })
            .collect();
        self.draining.retain(|run, drain| drain.service != *service || draining.contains_key(run));
        for (run, task) in draining {
            let drain = || Drain { service: service.clone(), task, is_awaited: false };
            self.draining.entry(run).or_insert_with(drain);
        }
    }

    /// Drains nobody waits for yet.
    pub(crate) fn take_new_drains(&mut self) -> Vec<(RunId, TaskId)> {
        let new = self.draining.iter_mut().filter(|(_, drain)| !drain.is_awaited);
        new.map(|(run, drain)| {
            drain.is_awaited = true;
            (*run, drain.task.clone())
        })
        .collect()
    }

    /// Every routed service with its own host and its declared names.
    fn refresh_routes(&mut self) {
        let mut routes = Vec::new();
        for (service, spec) in self.tree.services() {
            if !spec.template.ports.is_empty() {
                routes.extend(self.routes_of(&service, &spec));
            }
        }
        self.discovery.set_routes(routes);
    }

    fn routes_of(&self, service: &ServiceId, spec: &ServiceSpec) -> Vec<Route> {
        let own = Route::whole_host(service, &self.settings.host(service));
        let declared = spec.routes.iter().map(|route| Route::declared(service, route));
        // Specs are checked before they enter the tree; one that came in otherwise is not worth an end.
        std::iter::once(own).chain(declared).filter_map(Result::ok).collect()
    }

    fn why_no_backend(&self, service: &ServiceId) -> Reason {
        match self.tree.service(service) {
            Some(spec) if spec.is_stopped => Reason::new(format!("{service} is stopped"))
                .with_hint(format!("kogge restart {service} starts it again")),
            Some(spec) if spec.instances == 0 => Reason::new(format!("{service} is scaled to 0 instances"))
                .with_hint(format!("kogge scale {service}=1")),
            _ => Reason::new(format!("{service} has no healthy instance yet"))
                .with_hint(format!("kogge why {service}")),
        }
    }

    fn entry_of(&self, instance: &Instance) -> Option<Entry> {
        let attempt = instance.attempt()?;
        let running = attempt.running()?;
        let port = attempt.ports.first()?;
        let state = match &instance.phase {
            Phase::Waiting(_) => return None,
            Phase::Draining { .. } | Phase::Killing { .. } => InstanceState::Draining,
            Phase::Live(_) => match running.health {
                Health::Starting => InstanceState::Starting,
                Health::Healthy => InstanceState::Healthy,
                Health::Unhealthy { .. } => InstanceState::Unhealthy,
            },
        };
        let agent = self.kernel.view().agent(&attempt.agent).map(|agent| agent.info().address);
        let endpoint = match agent {
            // Other machines come in by the published port.
            Some(address) if !address.is_loopback() => SocketAddr::new(address, port.host_port.get()),
            _ => SocketAddr::new(running.ip, port.container_port.get()),
        };
        Some(Entry {
            instance: instance.id.clone(),
            task: attempt.task.clone(),
            run: attempt.run?,
            agent: attempt.agent.clone(),
            endpoint,
            state,
            version: instance.version.short(),
        })
    }
}
