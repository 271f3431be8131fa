//! Five thousand agents, fifty thousand instances with a constraint each: all placed in one round of offers.

#![expect(clippy::unwrap_used, reason = "a test says by a panic what does not hold")]

use std::collections::BTreeMap;
use std::sync::Arc;

use kogge_model::health::{Health, HealthCheck, Probe};
use kogge_model::id::{AgentId, FrameworkId, OfferId, RevisionId, RunId, TaskId};
use kogge_model::name::ServiceId;
use kogge_model::port::{Port, PortSet};
use kogge_model::reason::Reason;
use kogge_model::resources::{Bytes, CpuMillis, Resources};
use kogge_model::scheduler::{Call, Event, Offer};
use kogge_model::service::ServiceSpec;
use kogge_model::task::{Running, TaskState, TaskStatus};
use kogge_model::template::{Command, PortSpec};
use kogge_model::time::Timestamp;
use kogge_services::{Change, Config, Effect, Effects, Input, Service, Services};

const AGENTS: u64 = 5_000;
const ZONES: u64 = 20;

fn offers() -> Vec<Offer> {
    let offer = |n: u64| {
        let agent = AgentId::new(format!("agent-{n}"));
        let attributes = [("agent", agent.to_string()), ("zone", format!("z{}", n % ZONES))];
        Offer {
            id: OfferId(n + 1),
            agent,
            attributes: Arc::new(attributes.into_iter().map(|(k, v)| (k.to_owned(), v)).collect()),
            resources: Resources {
                cpu_millis: CpuMillis(16_000),
                mem_bytes: Bytes::gib(64),
                disk_bytes: Bytes::gib(100),
                ports: PortSet::range(Port::new(20_000).unwrap(), Port::new(29_999).unwrap()),
            },
        }
    };
    (0..AGENTS).map(offer).collect()
}

/// The core after its first second, when it waits for offers.
fn wanting(wanted: BTreeMap<ServiceId, Arc<ServiceSpec>>, config: Config) -> Services {
    let (mut core, mut effects) = (Services::new(config, [7; 32]), Effects::new());
    let now = Timestamp::from_secs(1);
    core.handle(now, Input::Connected, &mut effects);
    core.handle(now, Input::FromKernel(Event::Subscribed(FrameworkId::new("services"))), &mut effects);
    let change = Change::Whole(wanted);
    core.handle(now, Input::Desired { revision: RevisionId(1), change }, &mut effects);
    core
}

/// `services` services of `count` instances, each service with one of the constraints in turn.
fn place(services: u64, count: u32, constraint: impl Fn(u64) -> String) -> BTreeMap<AgentId, usize> {
    let mut wanted = BTreeMap::new();
    for n in 0..services {
        let mut spec = ServiceSpec { instances: count, ..ServiceSpec::default() };
        spec.template.command = Some(Command::Shell("serve".into()));
        spec.template.ports = vec![PortSpec { container_port: Port::new(8080), host_port: None }];
        spec.constraints = vec![constraint(n).parse().unwrap()];
        wanted.insert(format!("app{n}").parse().unwrap(), Arc::new(spec));
    }
    let config = Config { launches_at_once: usize::MAX, ..Config::default() };
    let (mut core, mut effects) = (wanting(wanted, config), Effects::new());
    core.handle(Timestamp::from_secs(1), Input::FromKernel(Event::Offers(offers())), &mut effects);

    let mut by_agent: BTreeMap<AgentId, usize> = BTreeMap::new();
    let agents: BTreeMap<OfferId, Offer> = offers().into_iter().map(|offer| (offer.id, offer)).collect();
    for effect in effects {
        let Effect::Call(Call::Accept { offers, launches, .. }) = effect else { continue };
        let offer = &agents[&offers[0]];
        let mut free = offer.resources.clone();
        for launch in &launches {
            free.take(&launch.resources);
        }
        by_agent.insert(offer.agent.clone(), launches.len());
    }
    by_agent
}

#[test]
fn fifty_thousand_instances_find_their_zone_and_are_spread_evenly() {
    let by_agent = place(500, 100, |n| format!("zone=z{}", n % ZONES));
    assert_eq!(by_agent.values().sum::<usize>(), 50_000);
    assert!(by_agent.len() == 5_000 && by_agent.values().all(|count| (8..=12).contains(count)));
}

#[test]
fn as_many_services_of_one_instance_are_no_harder() {
    let by_agent = place(50_000, 1, |n| format!("zone!=z{}", n % ZONES));
    assert_eq!(by_agent.values().sum::<usize>(), 50_000);
    assert!(by_agent.values().all(|count| (8..=12).contains(count)));
}

#[test]
fn a_constraint_of_its_own_for_each_agent_is_no_harder() {
    let by_agent = place(50_000, 1, |n| format!("agent=agent-{}", n % AGENTS));
    assert!(by_agent.len() == 5_000 && by_agent.values().all(|count| *count == 10));
}

#[test]
fn spreading_over_zones_is_no_harder() {
    let by_agent = place(500, 100, |_| "spread:zone".to_owned());
    assert_eq!(by_agent.values().sum::<usize>(), 50_000);
}

/// All instances of one service are placed; gives the core and what their agents say once they run.
fn launched(count: u32) -> (Services, Vec<TaskStatus>) {
    let mut spec = ServiceSpec { instances: count, ..ServiceSpec::default() };
    spec.template.command = Some(Command::Shell("serve".into()));
    // Whoever is asked whether it is well is no more on trial once it says so.
    spec.template.health = Some(HealthCheck::new(Probe::Command { argv: vec!["true".into()] }));
    let wanted = [("app".parse().unwrap(), Arc::new(spec))].into();
    let (mut core, mut effects) = (wanting(wanted, Config::default()), Effects::new());
    let now = Timestamp::from_secs(1);
    core.handle(now, Input::FromKernel(Event::Offers(offers())), &mut effects);
    let running = |task: &TaskId, run: u64| TaskStatus {
        task: task.clone(),
        run: RunId(run),
        agent: AgentId::new("agent-1"),
        sequence: 1,
        at: now,
        state: TaskState::Running(Running {
            pid: 1,
            started_at: now,
            ip: std::net::Ipv4Addr::LOCALHOST.into(),
            health: Health::Healthy,
        }),
        reason: Reason::default(),
    };
    let launches = effects.iter().filter_map(|effect| match effect {
        Effect::Call(Call::Accept { launches, .. }) => Some(launches),
        _ => None,
    });
    let statuses = launches.flatten().zip(1..).map(|(spec, run)| running(&spec.task, run)).collect();
    (core, statuses)
}

#[test]
fn updates_heard_together_come_to_the_same_end_with_one_plan() {
    let (mut one_by_one, updates) = launched(500);
    let mut together = one_by_one.clone();
    let (now, mut many, mut few) = (Timestamp::from_secs(2), Effects::new(), Effects::new());
    for update in &updates {
        one_by_one.handle(now, Input::FromKernel(Event::Update(update.clone())), &mut many);
    }
    let events = updates.into_iter().map(Event::Update);
    for input in Input::of_events(events) {
        together.handle(now, input, &mut few);
    }
    let ends = |core: &Services| -> Vec<_> {
        let end = |service: &Service| {
            let deployment = service.deployment().map(|deployment| deployment.state.clone());
            (service.instances.clone(), deployment, service.tally())
        };
        core.iter().map(end).collect()
    };
    assert_eq!(ends(&one_by_one), ends(&together));
    let saves = |effects: &Effects| effects.iter().filter(|e| matches!(e, Effect::SaveService(_))).count();
    assert!(saves(&few) <= 1 && saves(&few) < saves(&many), "{} and {}", saves(&few), saves(&many));
}

#[test]
fn events_are_heard_together_and_offers_keep_their_place_between_them() {
    let (_, updates) = launched(3);
    let update = |n: usize| Event::Update(updates[n].clone());
    let ready = Event::AgentReady { agent: AgentId::new("a"), attributes: Arc::default() };
    let inputs =
        Input::of_events([update(0), ready.clone(), update(1), Event::Offers(Vec::new()), update(2)]);
    let first = Input::Events(vec![update(0), ready, update(1)]);
    let offers = Input::FromKernel(Event::Offers(Vec::new()));
    assert_eq!(inputs, [first, offers, Input::Events(vec![update(2)])]);
}

#[test]
fn many_agents_that_return_at_once_are_planned_for_once() {
    let (mut core, updates) = launched(500);
    let ready = |n: usize| {
        let (agent, attributes) = (AgentId::new(format!("agent-{n}")), Arc::default());
        Event::AgentReady { agent, attributes }
    };
    let events = updates.into_iter().enumerate().flat_map(|(n, update)| [Event::Update(update), ready(n)]);
    let inputs = Input::of_events(events);
    assert_eq!(inputs.len(), 1);
    let mut effects = Effects::new();
    inputs.into_iter().for_each(|input| core.handle(Timestamp::from_secs(2), input, &mut effects));
    let service = core.iter().next().unwrap();
    assert_eq!(service.tally().healthy(), 500);
    assert_eq!(effects.iter().filter(|effect| matches!(effect, Effect::SaveService(_))).count(), 1);
}

#[test]
fn after_a_thousand_refusals_the_kernel_is_asked_once_about_all_that_may_be_lost() {
    let (mut core, launched) = launched(500);
    let refused = |n: usize| Event::Refused {
        call: "accept".into(),
        reason: Reason::new(format!("offer {n} is no longer valid")),
    };
    let inputs = Input::of_events((0..1_000).map(refused));
    let mut effects = Effects::new();
    inputs.into_iter().for_each(|input| core.handle(Timestamp::from_secs(2), input, &mut effects));
    let asked: Vec<usize> = effects
        .iter()
        .filter_map(|effect| match effect {
            Effect::Call(Call::Reconcile(tasks)) => Some(tasks.len()),
            _ => None,
        })
        .collect();
    assert_eq!(asked, [launched.len()]);
    let told = effects.iter().filter(|effect| matches!(effect, Effect::Explain(_))).count();
    assert_eq!(told, 1_000, "each has its reason");
}
