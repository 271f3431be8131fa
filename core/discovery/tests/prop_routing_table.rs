//! Properties of the table under any history of the catalog.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on ends there")]

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use kogge_discovery::catalog::Recorded;
use kogge_discovery::plan_routing_table::{Ignored, plan_routing_table};
use kogge_discovery::{Catalog, Discovery, HostPattern, Instance, InstanceState, Route};
use kogge_model::id::{AgentId, Generation, RunId, TaskId};
use kogge_model::name::{InstanceId, ServiceId};
use kogge_model::reason::Reason;
use proptest::prelude::*;

const SERVICES: [&str; 3] = ["shop", "shop/api", "blog"];
const HOSTS: [&str; 6] = ["a.x", "b.x", "x", "c.b.x", "*.x", "*.b.x"];
const PATHS: [&str; 5] = ["/", "/api", "/api/v1", "/apix", "/b"];

#[derive(Debug, Clone)]
enum Step {
    Declare(usize),
    Forget(usize),
    Record(usize, u64, InstanceState),
    State(u64, InstanceState),
    End(u64),
}

fn state() -> impl Strategy<Value = InstanceState> {
    prop_oneof![
        Just(InstanceState::Starting),
        Just(InstanceState::Healthy),
        Just(InstanceState::Unhealthy),
        Just(InstanceState::Draining),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let (service, run) = (0..SERVICES.len(), 1u64..12);
    prop_oneof![
        2 => service.clone().prop_map(Step::Declare),
        1 => service.clone().prop_map(Step::Forget),
        6 => (service, run.clone(), state()).prop_map(|(service, run, state)| Step::Record(service, run, state)),
        6 => (run.clone(), state()).prop_map(|(run, state)| Step::State(run, state)),
        2 => run.prop_map(Step::End),
    ]
}

fn service(index: usize) -> ServiceId {
    SERVICES[index].parse().unwrap()
}

fn instance(index: usize, run: u64, state: InstanceState) -> Instance {
    Instance {
        instance: InstanceId { service: service(index), number: u32::try_from(run).unwrap() },
        task: TaskId::new(format!("t{run}")),
        run: RunId(run),
        agent: AgentId::new("a"),
        endpoint: SocketAddr::from(([127, 0, 0, 1], 10_000 + u16::try_from(run).unwrap())),
        state,
        version: "v1".to_owned(),
    }
}

fn routes() -> impl Strategy<Value = BTreeSet<Route>> {
    let host = prop_oneof![
        (0..HOSTS.len()).prop_map(|host| HOSTS[host].parse::<HostPattern>().unwrap()),
        Just(HostPattern::Any)
    ];
    let route = (host, 0..PATHS.len(), 0..SERVICES.len()).prop_map(|(host, path, index)| Route {
        host,
        path: PATHS[path].parse().unwrap(),
        service: service(index),
    });
    proptest::collection::btree_set(route, 0..14)
}

/// The rules once more, told over plain maps.
#[derive(Default)]
struct Truth {
    declared: BTreeSet<ServiceId>,
    live: BTreeMap<u64, (ServiceId, InstanceState)>,
    ended: BTreeSet<u64>,
    last_healthy: BTreeMap<ServiceId, BTreeSet<u64>>,
}

impl Truth {
    fn apply(&mut self, step: &Step) {
        match *step {
            Step::Declare(index) => _ = self.declared.insert(service(index)),
            Step::Forget(index) => {
                let gone = service(index);
                if self.declared.remove(&gone) {
                    let runs = self.live.iter().filter(|(_, (owner, _))| *owner == gone);
                    self.ended.extend(runs.map(|(run, _)| *run));
                    self.live.retain(|_, (owner, _)| *owner != gone);
                    self.last_healthy.remove(&gone);
                }
            }
            Step::Record(index, run, state) => {
                let owner = service(index);
                let is_ours = self.live.get(&run).is_none_or(|(known, _)| *known == owner);
                if self.declared.contains(&owner) && is_ours && !self.ended.contains(&run) {
                    self.live.insert(run, (owner, state));
                }
            }
            Step::State(run, state) => {
                if let Some(entry) = self.live.get_mut(&run) {
                    entry.1 = state;
                }
            }
            Step::End(run) => {
                self.ended.insert(run);
                self.live.remove(&run);
            }
        }
        for declared in &self.declared {
            let healthy = self.in_state(declared, InstanceState::Healthy);
            let failing = self.in_state(declared, InstanceState::Unhealthy);
            let kept = self.last_healthy.entry(declared.clone()).or_default();
            if healthy.is_empty() {
                kept.retain(|run| failing.contains(run));
            } else {
                *kept = healthy;
            }
        }
    }

    fn in_state(&self, owner: &ServiceId, state: InstanceState) -> BTreeSet<u64> {
        let runs = self.live.iter().filter(|(_, entry)| entry.0 == *owner && entry.1 == state);
        runs.map(|(run, _)| *run).collect()
    }
}

fn apply(catalog: &mut Catalog, step: &Step) {
    match *step {
        Step::Declare(index) => _ = catalog.declare(&service(index), Reason::new("waits")),
        Step::Forget(index) => _ = catalog.forget(&service(index)),
        Step::Record(index, run, state) => _ = catalog.record(instance(index, run, state)),
        Step::State(run, state) => _ = catalog.set_state(RunId(run), state),
        Step::End(run) => _ = catalog.end(RunId(run)),
    }
}

proptest! {
    /// G18 and G19.
    #[test]
    fn only_healthy_instances_or_the_last_healthy_ones_get_requests(
        steps in proptest::collection::vec(step(), 0..80),
    ) {
        let (mut catalog, mut truth) = (Catalog::default(), Truth::default());
        for step in &steps {
            apply(&mut catalog, step);
            truth.apply(step);
            let table = plan_routing_table(Generation(1), &catalog, &BTreeSet::new()).table;
            let known: BTreeSet<ServiceId> = table.services().iter().map(|route| route.service.clone()).collect();
            prop_assert_eq!(&known, &truth.declared);
            for route in table.services() {
                let runs: BTreeSet<u64> = route.backends.iter().map(|backend| backend.run.0).collect();
                prop_assert!(runs.is_disjoint(&truth.ended), "an ended run gets requests");
                prop_assert!(runs.is_disjoint(&truth.in_state(&route.service, InstanceState::Draining)));
                let healthy = truth.in_state(&route.service, InstanceState::Healthy);
                let wanted = if healthy.is_empty() { &truth.last_healthy[&route.service] } else { &healthy };
                prop_assert_eq!(&runs, wanted);
                prop_assert_eq!(route.is_last_resort, healthy.is_empty() && !runs.is_empty());
            }
        }
    }

    #[test]
    fn the_most_specific_route_wins(routes in routes(), declared in proptest::collection::vec(any::<bool>(), 3)) {
        let mut catalog = Catalog::default();
        for index in (0..SERVICES.len()).filter(|&index| declared[index]) {
            catalog.declare(&service(index), Reason::new("waits"));
        }
        let plan = plan_routing_table(Generation(7), &catalog, &routes);
        prop_assert_eq!(plan.table.rules().count() + plan.ignored.len(), routes.len());
        for host in ["a.x", "b.x", "x", "c.b.x", "d.c.b.x", "q", "", ".x"] {
            for path in ["/", "/api", "/api/", "/api/v1/z", "/apix", "/apix/1", "/c", "*"] {
                let found = plan.table.find(host, path).map(|at| plan.table.services()[at].service.clone());
                prop_assert_eq!(found, brute_force(&routes, &catalog, host, path), "{} {}", host, path);
            }
        }
    }

    #[test]
    fn the_same_input_gives_the_same_table_and_every_change_a_higher_generation(
        steps in proptest::collection::vec(step(), 0..40), routes in routes(),
    ) {
        let mut discovery = Discovery::new(Generation(41));
        discovery.set_routes(routes.clone());
        let mut last = Generation(41);
        for step in &steps {
            apply(discovery.catalog_mut(), step);
            let before = discovery.table().clone();
            if let Some(table) = discovery.refresh() {
                prop_assert!(table.generation() > last && !table.says_the_same_as(&before));
                last = table.generation();
                let again = plan_routing_table(last, discovery.catalog(), &routes).table;
                prop_assert_eq!(&again, table.as_ref());
            }
            prop_assert!(discovery.refresh().is_none(), "nothing changed, yet there is a new table");
        }
    }
}

/// Every route judged by itself; ties by host kind, then path length, then service name.
fn brute_force(routes: &BTreeSet<Route>, catalog: &Catalog, host: &str, path: &str) -> Option<ServiceId> {
    let rank = |route: &Route| match &route.host {
        HostPattern::Exact(name) => (name == host).then_some(0),
        HostPattern::Wildcard(base) => {
            let label = host.strip_suffix(base.as_str())?.strip_suffix('.')?;
            (!label.is_empty() && !label.contains('.')).then_some(1)
        }
        HostPattern::Any => Some(2),
    };
    let known = routes.iter().filter(|route| catalog.service(&route.service).is_some());
    let covering = known.filter(|route| route.path.covers(path));
    let ranked = covering
        .filter_map(|route| Some((rank(route)?, std::cmp::Reverse(route.path.len()), &route.service)));
    ranked.min().map(|(_, _, service)| service.clone())
}

#[test]
fn a_known_service_without_instances_is_not_an_unknown_host() {
    let mut discovery = Discovery::new(Generation(0));
    discovery
        .catalog_mut()
        .declare(&service(0), Reason::new("starting: waiting for health check GET /health"));
    discovery.set_routes([Route::whole_host(&service(0), "shop.localhost").unwrap()]);
    let table = discovery.refresh().unwrap();
    let found = &table.services()[table.find("shop.localhost", "/x").unwrap()];
    assert!(found.backends.is_empty() && found.why_no_backend.text.contains("/health"));
    assert_eq!(table.find("other.localhost", "/x"), None);
}

#[test]
fn two_services_that_want_one_place_are_told_who_has_it() {
    let mut catalog = Catalog::default();
    catalog.declare(&service(0), Reason::new("waits"));
    catalog.declare(&service(2), Reason::new("waits"));
    let routes: BTreeSet<Route> =
        [0, 1, 2].map(|index| Route::whole_host(&service(index), "a.x").unwrap()).into_iter().collect();
    let plan = plan_routing_table(Generation(1), &catalog, &routes);
    let because: Vec<Ignored> = plan.ignored.into_iter().map(|ignored| ignored.because).collect();
    assert_eq!(because, [Ignored::UnknownService, Ignored::TakenBy(service(2))]);
    assert_eq!(plan.table.rules().next().unwrap().2.service, service(2));
}

#[test]
fn words_about_the_wrong_run_are_refused_with_their_reason() {
    let mut catalog = Catalog::default();
    assert_eq!(catalog.record(instance(0, 1, InstanceState::Healthy)), Recorded::UnknownService);
    catalog.declare(&service(0), Reason::new("waits"));
    catalog.declare(&service(1), Reason::new("waits"));
    assert_eq!(catalog.record(instance(0, 1, InstanceState::Healthy)), Recorded::Changed);
    assert_eq!(catalog.record(instance(0, 1, InstanceState::Healthy)), Recorded::Unchanged);
    assert_eq!(catalog.record(instance(1, 1, InstanceState::Healthy)), Recorded::ForeignRun);
    assert!(catalog.end(RunId(1)) && !catalog.end(RunId(1)));
    assert_eq!(catalog.record(instance(0, 1, InstanceState::Healthy)), Recorded::EndedRun);
}
