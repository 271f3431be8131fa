//! What a router obeys: one immutable whole, told apart from older ones by its generation.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use kogge_model::id::{AgentId, Generation, RunId, TaskId};
use kogge_model::name::{InstanceId, ServiceId};
use kogge_model::reason::Reason;

use serde::{Deserialize, Serialize};

use crate::host_pattern::HostPattern;
use crate::path_prefix::PathPrefix;

/// Where each request goes. Made by [`crate::plan_routing_table::plan_routing_table`] only.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct RoutingTable {
    pub(crate) generation: Generation,
    pub(crate) services: Vec<ServiceRoute>,
    pub(crate) exact: BTreeMap<String, Vec<PathRule>>,
    pub(crate) wildcard: BTreeMap<String, Vec<PathRule>>,
    pub(crate) any: Vec<PathRule>,
}

/// One service and those of its instances that get requests.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceRoute {
    /// Which service.
    pub service: ServiceId,
    /// Its instances that get requests, oldest run first.
    pub backends: Vec<Backend>,
    /// No instance passes its check: these are the last ones that did (G18).
    pub is_last_resort: bool,
    /// Why there is no backend, should there be none.
    pub why_no_backend: Reason,
}

/// An instance that gets requests.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Backend {
    /// Which copy of the service.
    pub instance: InstanceId,
    /// The task that runs it.
    pub task: TaskId,
    /// The launch of that task.
    pub run: RunId,
    /// Where it runs.
    pub agent: AgentId,
    /// Where its requests go.
    pub endpoint: SocketAddr,
}

/// One path prefix of one host; kept longest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PathRule {
    pub(crate) path: PathPrefix,
    /// Position in [`RoutingTable::services`].
    pub(crate) service: usize,
}

impl RoutingTable {
    /// Whether it may be obeyed: one that came over a network could lead nowhere.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        let rules = self.exact.values().chain(self.wildcard.values()).chain(std::iter::once(&self.any));
        self.services.is_sorted_by(|one, next| one.service < next.service)
            && rules.flatten().all(|rule| rule.service < self.services.len())
    }

    /// Its place in the sequence of tables; a receiver only moves forward.
    #[must_use]
    pub const fn generation(&self) -> Generation {
        self.generation
    }

    /// Every known service in order, with or without a backend.
    #[must_use]
    pub fn services(&self) -> &[ServiceRoute] {
        &self.services
    }

    /// One service.
    #[must_use]
    pub fn service(&self, service: &ServiceId) -> Option<&ServiceRoute> {
        let at = self.services.binary_search_by(|route| route.service.cmp(service)).ok()?;
        self.services.get(at)
    }

    /// The service for a request, as its position in [`RoutingTable::services`]; none when no route covers it.
    ///
    /// `host` is in lower case, without port and final dot. The host decides first (exact, then wildcard, then any),
    /// then the longest path; a host without a rule for the path leaves the request to the next wider one.
    #[must_use]
    pub fn find(&self, host: &str, path: &str) -> Option<usize> {
        let under =
            |rules: &[PathRule]| rules.iter().find(|rule| rule.path.covers(path)).map(|rule| rule.service);
        let exact = || self.exact.get(host).and_then(|rules| under(rules));
        let wildcard = || {
            let (label, base) = host.split_once('.')?;
            if label.is_empty() { None } else { under(self.wildcard.get(base)?) }
        };
        exact().or_else(wildcard).or_else(|| under(&self.any))
    }

    /// The rules in the order of their hosts, longest path first, for people and tests.
    pub fn rules(&self) -> impl Iterator<Item = (HostPattern, &PathPrefix, &ServiceRoute)> {
        let exact = self.exact.iter().map(|(host, rules)| (HostPattern::Exact(host.clone()), rules));
        let wildcard = self.wildcard.iter().map(|(base, rules)| (HostPattern::Wildcard(base.clone()), rules));
        let hosts = exact.chain(wildcard).chain(std::iter::once((HostPattern::Any, &self.any)));
        hosts.flat_map(move |(host, rules)| {
            rules.iter().map(move |rule| (host.clone(), &rule.path, &self.services[rule.service]))
        })
    }

    /// Whether a router that obeys this table would do the same as with `other`; generations are not compared.
    #[must_use]
    pub fn says_the_same_as(&self, other: &Self) -> bool {
        self.services == other.services
            && self.exact == other.exact
            && self.wildcard == other.wildcard
            && self.any == other.any
    }
}
