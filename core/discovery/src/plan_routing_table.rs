//! From catalog and routes to the table.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use kogge_model::id::Generation;
use kogge_model::name::ServiceId;

use crate::catalog::{Catalog, ServiceEntry};
use crate::host_pattern::HostPattern;
use crate::instance::Instance;
use crate::route::Route;
use crate::routing_table::{Backend, PathRule, RoutingTable, ServiceRoute};

/// The table, and what could not be done as declared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoutingPlan {
    /// What routers obey.
    pub table: RoutingTable,
    /// Routes that are not in it, each with its reason.
    pub ignored: Vec<IgnoredRoute>,
}

/// A declared route that is not in the table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IgnoredRoute {
    /// The route.
    pub route: Route,
    /// Why not.
    pub because: Ignored,
}

/// Why a declared route is not in the table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ignored {
    /// The catalog does not know its service.
    UnknownService,
    /// The same host and path already go to this service, whose name comes first.
    TakenBy(ServiceId),
}

/// The whole table for `catalog` and `routes`, numbered `generation`. The same input gives the same table.
#[must_use]
pub fn plan_routing_table(
    generation: Generation,
    catalog: &Catalog,
    routes: &BTreeSet<Route>,
) -> RoutingPlan {
    let services: Vec<ServiceRoute> =
        catalog.services().map(|(id, entry)| service_route(id, entry)).collect();
    let positions: BTreeMap<&ServiceId, usize> =
        services.iter().enumerate().map(|(position, route)| (&route.service, position)).collect();
    let mut hosts: BTreeMap<&HostPattern, Vec<PathRule>> = BTreeMap::new();
    let mut ignored = Vec::new();
    for route in routes {
        let rules = hosts.entry(&route.host).or_default();
        let because = match (positions.get(&route.service), rules.iter().find(|rule| rule.path == route.path))
        {
            (None, _) => Ignored::UnknownService,
            // Routes come in order, so whoever holds the place has the smaller name.
            (Some(_), Some(holder)) => Ignored::TakenBy(services[holder.service].service.clone()),
            (Some(&service), None) => {
                rules.push(PathRule { path: route.path.clone(), service });
                continue;
            }
        };
        ignored.push(IgnoredRoute { route: route.clone(), because });
    }
    let mut table = RoutingTable { generation, ..RoutingTable::default() };
    for (host, mut rules) in hosts {
        rules.sort_by_key(|rule| Reverse(rule.path.len()));
        match host {
            _ if rules.is_empty() => {}
            HostPattern::Exact(name) => _ = table.exact.insert(name.clone(), rules),
            HostPattern::Wildcard(base) => _ = table.wildcard.insert(base.clone(), rules),
            HostPattern::Any => table.any = rules,
        }
    }
    table.services = services;
    RoutingPlan { table, ignored }
}

fn service_route(service: &ServiceId, entry: &ServiceEntry) -> ServiceRoute {
    let serving = entry.serving();
    ServiceRoute {
        service: service.clone(),
        backends: serving.instances.into_iter().map(backend).collect(),
        is_last_resort: serving.is_last_resort,
        why_no_backend: entry.why_no_backend().clone(),
    }
}

fn backend(instance: &Instance) -> Backend {
    Backend {
        instance: instance.instance.clone(),
        task: instance.task.clone(),
        run: instance.run,
        agent: instance.agent.clone(),
        endpoint: instance.endpoint,
    }
}
