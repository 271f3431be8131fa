//! What people do: create, scale, upgrade well and badly, stop, restart and remove services.

use std::collections::BTreeMap;
use std::sync::Arc;

use kogge_model::attribute::Constraint;
use kogge_model::health::{HealthCheck, Probe};
use kogge_model::lease::SHORTEST_LEASE_MS;
use kogge_model::name::ServiceId;
use kogge_model::port::Port;
use kogge_model::resources::{Bytes, CpuMillis};
use kogge_model::service::{ServiceSpec, UpgradePolicy};
use kogge_model::template::{Limits, PortSpec, TaskTemplate};

use crate::behaviour::Behaviour;
use crate::chance::Chance;
use crate::scenario::Scenario;

/// Changes of the tree that people ask for.
pub(crate) type Wishes = BTreeMap<ServiceId, Option<Arc<ServiceSpec>>>;

const MOST_INSTANCES: u32 = 5;
/// So many machines are never lost for good.
const MOST_UNIQUE: u32 = 2;

pub(crate) fn service_id(index: usize) -> ServiceId {
    format!("app{index}").parse().expect("it is a name")
}

/// One command.
pub(crate) fn command(
    chance: &mut Chance,
    scenario: &Scenario,
    tree: &BTreeMap<ServiceId, Arc<ServiceSpec>>,
) -> (String, Wishes) {
    let id = service_id(chance.index(scenario.services));
    let Some(now) = tree.get(&id) else {
        let behaviour = if chance.is(100) { bad(chance) } else { good(chance) };
        let spec = spec(chance, behaviour, scenario);
        return (format!("create {id} × {} {behaviour:?}", spec.instances), one(id, Some(spec)));
    };
    let mut spec = (**now).clone();
    let text = match chance.below(10) {
        0..3 => {
            spec.instances = chance.number(0, most(&spec));
            format!("scale {id} to {}", spec.instances)
        }
        3..6 => {
            upgrade(chance, &mut spec, true);
            format!("upgrade {id} well")
        }
        6 | 7 => {
            upgrade(chance, &mut spec, false);
            format!("upgrade {id} badly, {:?}", Behaviour::of(&spec.template))
        }
        8 => {
            spec.is_stopped = !spec.is_stopped;
            format!("stop {id}: {}", spec.is_stopped)
        }
        _ if chance.is(400) => return (format!("remove {id}"), one(id, None)),
        _ => {
            spec.template.restart_count += 1;
            format!("restart {id}")
        }
    };
    (text, one(id, Some(spec)))
}

/// How many instances there is room for, whatever happens.
fn most(spec: &ServiceSpec) -> u32 {
    let is_unique = |constraint: &Constraint| matches!(constraint, Constraint::Unique { .. });
    if spec.is_single() {
        1
    } else if spec.constraints.iter().any(is_unique) {
        MOST_UNIQUE
    } else {
        MOST_INSTANCES
    }
}

fn one(id: ServiceId, spec: Option<ServiceSpec>) -> Wishes {
    BTreeMap::from([(id, spec.map(Arc::new))])
}

fn good(chance: &mut Chance) -> Behaviour {
    Behaviour::GOOD[chance.index(Behaviour::GOOD.len())]
}

fn bad(chance: &mut Chance) -> Behaviour {
    Behaviour::BAD[chance.index(Behaviour::BAD.len())]
}

fn upgrade(chance: &mut Chance, spec: &mut ServiceSpec, is_well: bool) {
    let behaviour = if is_well { good(chance) } else { bad(chance) };
    spec.template.env.insert("VERSION".into(), chance.below(1_000_000).to_string());
    behave(spec, behaviour);
    if chance.is(300) {
        spec.upgrade = policy(chance);
        let is_unique = most(spec) == MOST_UNIQUE;
        // Where each has its own agent, and there are no more agents, one has to go before the next can come.
        spec.upgrade.min_healthy_percent =
            spec.upgrade.min_healthy_percent.min(if is_unique { 50 } else { 100 });
    }
}

fn behave(spec: &mut ServiceSpec, behaviour: Behaviour) {
    // Without a check nobody finds out that it is never healthy.
    let is_visible = behaviour != Behaviour::NeverHealthy || spec.template.health.is_some();
    let behaviour = if is_visible { behaviour } else { Behaviour::Crashes };
    spec.template.command = Some(behaviour.command());
}

fn spec(chance: &mut Chance, behaviour: Behaviour, scenario: &Scenario) -> ServiceSpec {
    let ports = chance.index(3);
    let template = TaskTemplate {
        limits: Limits {
            cpu_millis: CpuMillis(50 + chance.below(150)),
            mem_bytes: Bytes::mib(64 + chance.below(200)),
            disk_bytes: Bytes::mib(chance.below(500)),
            ..Limits::default()
        },
        ports: (0..ports).map(|_| PortSpec { container_port: Port::new(8080), host_port: None }).collect(),
        health: (ports > 0 && chance.is(700)).then(|| health(chance)),
        kill_grace_ms: chance.below(3_000),
        drain_ms: chance.below(4_000),
        ..TaskTemplate::default()
    };
    let mut spec = ServiceSpec {
        template,
        instances: chance.number(1, MOST_INSTANCES),
        upgrade: policy(chance),
        ..ServiceSpec::default()
    };
    match chance.below(8) {
        0 => spec.constraints = vec![Constraint::Spread { key: "zone".into() }],
        // Where room is scarce, whoever has somewhere else to go may sit where these alone could go: nobody makes way.
        _ if scenario.is_tight => {}
        1 => spec.constraints = vec![Constraint::IsNot { key: "zone".into(), value: "c".into() }],
        2 => {
            spec.constraints = vec![Constraint::Unique { key: "agent".into() }];
            spec.instances = spec.instances.min(MOST_UNIQUE);
            spec.upgrade.min_healthy_percent = spec.upgrade.min_healthy_percent.min(50);
        }
        _ => {}
    }
    if chance.is(250) || scenario.is_single {
        spec.instances = 1;
        spec.template.lease_ms = Some(SHORTEST_LEASE_MS + chance.below(6_000));
    }
    behave(&mut spec, behaviour);
    spec
}

fn health(chance: &mut Chance) -> HealthCheck {
    HealthCheck {
        grace_ms: 8_000 + chance.below(10_000),
        interval_ms: 500 + chance.below(4_000),
        timeout_ms: 200 + chance.below(800),
        ..HealthCheck::new(Probe::Http { path: "/".into(), port: 0 })
    }
}

fn policy(chance: &mut Chance) -> UpgradePolicy {
    let surge = [0, 25, 50, 100][chance.index(4)];
    UpgradePolicy {
        min_healthy_percent: if surge == 0 { chance.number(0, 80) } else { chance.number(50, 100) },
        max_surge_percent: surge,
        deadline_ms: 60_000 + chance.below(60_000),
        no_progress_ms: 30_000 + chance.below(20_000),
    }
}
