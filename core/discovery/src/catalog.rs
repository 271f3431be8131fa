//! Which instances of which service are where, and in what state.

use std::collections::{BTreeMap, BTreeSet};

use kogge_model::id::RunId;
use kogge_model::name::ServiceId;
use kogge_model::reason::Reason;

use crate::ended_runs::EndedRuns;
use crate::instance::{Instance, InstanceState};

/// All known services with their instances. A service may be known without having any.
#[derive(Debug, Clone, Default)]
pub struct Catalog {
    services: BTreeMap<ServiceId, ServiceEntry>,
    /// Which service each run in the catalog belongs to.
    runs: BTreeMap<RunId, ServiceId>,
    ended: EndedRuns,
}

/// One service's part of the catalog.
#[derive(Debug, Clone)]
pub struct ServiceEntry {
    why_no_backend: Reason,
    instances: BTreeMap<RunId, Instance>,
    last_healthy: BTreeSet<RunId>,
}

/// What became of a word about an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recorded {
    /// The catalog has changed.
    Changed,
    /// The catalog knew that already.
    Unchanged,
    /// The service is not declared.
    UnknownService,
    /// The run is over; its entry cannot come back (G19).
    EndedRun,
    /// The run belongs to another service.
    ForeignRun,
}

impl Catalog {
    /// Makes `service` known, or renews why it would have no backend: `starting: waiting for GET /health`.
    /// Tells whether anything changed.
    pub fn declare(&mut self, service: &ServiceId, why_no_backend: Reason) -> bool {
        let Some(entry) = self.services.get_mut(service) else {
            let entry =
                ServiceEntry { why_no_backend, instances: BTreeMap::new(), last_healthy: BTreeSet::new() };
            self.services.insert(service.clone(), entry);
            return true;
        };
        let is_new = entry.why_no_backend != why_no_backend;
        entry.why_no_backend = why_no_backend;
        is_new
    }

    /// Forgets `service`; its runs count as ended. Tells whether it was known.
    pub fn forget(&mut self, service: &ServiceId) -> bool {
        let Some(entry) = self.services.remove(service) else { return false };
        for run in entry.instances.into_keys() {
            self.runs.remove(&run);
            self.ended.insert(run);
        }
        true
    }

    /// Adds `instance`, or replaces what was known of the same run.
    pub fn record(&mut self, instance: Instance) -> Recorded {
        let service = &instance.instance.service;
        if self.ended.contains(instance.run) {
            return Recorded::EndedRun;
        }
        if self.runs.get(&instance.run).is_some_and(|owner| owner != service) {
            return Recorded::ForeignRun;
        }
        let Some(entry) = self.services.get_mut(service) else { return Recorded::UnknownService };
        if entry.instances.get(&instance.run) == Some(&instance) {
            return Recorded::Unchanged;
        }
        self.runs.insert(instance.run, service.clone());
        entry.instances.insert(instance.run, instance);
        entry.remember_healthy();
        Recorded::Changed
    }

    /// Moves a run to `state`. Tells whether anything changed; an unknown run changes nothing.
    pub fn set_state(&mut self, run: RunId, state: InstanceState) -> bool {
        let Some(entry) = self.runs.get(&run).and_then(|service| self.services.get_mut(service)) else {
            return false;
        };
        let Some(instance) = entry.instances.get_mut(&run).filter(|instance| instance.state != state) else {
            return false;
        };
        instance.state = state;
        entry.remember_healthy();
        true
    }

    /// Takes an ended run out for good, whether or not it was known. Tells whether it was.
    pub fn end(&mut self, run: RunId) -> bool {
        self.ended.insert(run);
        let Some(entry) = self.runs.remove(&run).and_then(|service| self.services.get_mut(&service)) else {
            return false;
        };
        entry.instances.remove(&run);
        entry.remember_healthy();
        true
    }

    /// The known services in order.
    pub fn services(&self) -> impl Iterator<Item = (&ServiceId, &ServiceEntry)> {
        self.services.iter()
    }

    /// One service's part.
    #[must_use]
    pub fn service(&self, service: &ServiceId) -> Option<&ServiceEntry> {
        self.services.get(service)
    }

    /// The instance a run is, while it lives.
    #[must_use]
    pub fn instance(&self, run: RunId) -> Option<&Instance> {
        self.services.get(self.runs.get(&run)?)?.instances.get(&run)
    }
}

/// The instances that get requests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Serving<'a> {
    /// In the order of their runs.
    pub instances: Vec<&'a Instance>,
    /// None of them passes its check: they are the last ones that did (G18).
    pub is_last_resort: bool,
}

impl ServiceEntry {
    /// All instances, oldest run first.
    pub fn instances(&self) -> impl Iterator<Item = &Instance> {
        self.instances.values()
    }

    /// Why the service has no backend, should it have none.
    #[must_use]
    pub const fn why_no_backend(&self) -> &Reason {
        &self.why_no_backend
    }

    /// Who gets requests: the healthy instances; without any, those that were the last healthy ones and are now
    /// merely failing their checks.
    #[must_use]
    pub fn serving(&self) -> Serving<'_> {
        let is_healthy = |instance: &&Instance| instance.state == InstanceState::Healthy;
        let healthy: Vec<&Instance> = self.instances.values().filter(is_healthy).collect();
        if !healthy.is_empty() {
            return Serving { instances: healthy, is_last_resort: false };
        }
        let kept: Vec<&Instance> =
            self.last_healthy.iter().filter_map(|run| self.instances.get(run)).collect();
        Serving { is_last_resort: !kept.is_empty(), instances: kept }
    }

    /// Keeps `last_healthy` true: the healthy set, or what is left of the last one that was not empty. An instance
    /// that ended, drains or starts anew leaves it for good.
    fn remember_healthy(&mut self) {
        let in_state = |state| {
            let runs = self.instances.iter().filter(move |(_, instance)| instance.state == state);
            runs.map(|(&run, _)| run).collect::<BTreeSet<RunId>>()
        };
        let healthy = in_state(InstanceState::Healthy);
        if healthy.is_empty() {
            let failing = in_state(InstanceState::Unhealthy);
            self.last_healthy.retain(|run| failing.contains(run));
        } else {
            self.last_healthy = healthy;
        }
    }
}
