//! From the table to what requests use: backends that keep their connections and counts from table to table.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use kogge_discovery::{RoutingTable, ServiceRoute};
use kogge_model::id::RunId;
use kogge_model::name::ServiceId;

use crate::backend::Backend;
use crate::clock::millis;
use crate::config::RouterConfig;
use crate::pool::Pool;
use crate::traffic::Traffic;

/// A table with its living parts. Immutable: a request sees all of it or all of the next one.
#[derive(Debug, Default)]
pub(crate) struct Snapshot {
    pub(crate) table: Arc<RoutingTable>,
    /// In the order of the table's services.
    pub(crate) services: Vec<Service>,
}

/// One service's living parts.
#[derive(Debug)]
pub(crate) struct Service {
    pub(crate) backends: Vec<Arc<Backend>>,
    pub(crate) traffic: Arc<Traffic>,
}

/// Everything that outlives a table.
#[derive(Debug, Default)]
pub(crate) struct Fleet {
    backends: BTreeMap<(RunId, SocketAddr), Arc<Backend>>,
    traffic: BTreeMap<ServiceId, Arc<Traffic>>,
}

impl Fleet {
    /// The snapshot for `table`. Backends that it names are reinstated; call [`Fleet::retire_all_but`] once the
    /// snapshot is in force.
    pub(crate) fn snapshot(&mut self, table: Arc<RoutingTable>, config: &RouterConfig) -> Snapshot {
        let services = table.services().iter().map(|route| self.service(route, config)).collect();
        self.traffic.retain(|service, _| table.service(service).is_some());
        Snapshot { table, services }
    }

    fn service(&mut self, route: &ServiceRoute, config: &RouterConfig) -> Service {
        let traffic = Arc::clone(self.traffic.entry(route.service.clone()).or_default());
        let backend = |of: &kogge_discovery::Backend| {
            let known = self.backends.entry((of.run, of.endpoint)).or_insert_with(|| {
                let pool = Pool::new(config.max_idle_per_backend, millis(config.upstream_idle_timeout));
                Arc::new(Backend::new(of, Arc::clone(&traffic), pool))
            });
            known.reinstate();
            Arc::clone(known)
        };
        Service { backends: route.backends.iter().map(backend).collect(), traffic: Arc::clone(&traffic) }
    }

    /// Retires every backend that `snapshot` does not name, and forgets those with nothing left in flight.
    pub(crate) fn retire_all_but(&mut self, snapshot: &Snapshot) {
        let named: std::collections::BTreeSet<(RunId, SocketAddr)> = snapshot
            .services
            .iter()
            .flat_map(|service| service.backends.iter().map(|backend| (backend.run, backend.endpoint)))
            .collect();
        self.backends.retain(|key, backend| {
            if named.contains(key) {
                return true;
            }
            backend.retire();
            backend.in_flight() > 0
        });
    }

    pub(crate) fn backends(&self) -> impl Iterator<Item = &Arc<Backend>> {
        self.backends.values()
    }

    pub(crate) fn traffic(&self) -> impl Iterator<Item = (&ServiceId, &Arc<Traffic>)> {
        self.traffic.iter()
    }
}
