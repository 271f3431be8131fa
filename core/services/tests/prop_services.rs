//! Whatever happens: bounds hold, every update is acknowledged, everything is saved, and once nothing interferes the
//! world is as wished. What must hold after each input is checked by the world itself.

#![expect(clippy::unwrap_used, reason = "a test says by a panic what does not hold")]

mod world;

use std::sync::Arc;
use std::time::Duration;

use kogge_model::health::Health;
use kogge_model::id::TaskId;
use kogge_model::name::ServiceId;
use kogge_model::task::{Exit, Outcome, TaskState};
use kogge_services::{DeploymentState, Input, Instance, Phase};
use proptest::prelude::*;
use world::follower::Follower;
use world::{Behaviour, World, spec};

/// The version whose instances always crash.
const BROKEN: u32 = 3;

const AGENTS: [&str; 2] = ["a1", "a2"];

#[derive(Debug, Clone)]
enum Step {
    Want {
        service: usize,
        count: u32,
        version: u32,
        min: u32,
        surge: u32,
        is_checked: bool,
    },
    Stop(usize),
    Remove(usize),
    Run(usize, u8),
    End(usize, u8),
    Drained(usize),
    Wait(u64),
    Restart,
    RefuseLaunch,
    /// An agent is wanted back, or not any more.
    Drain(usize, bool),
}

fn step() -> impl Strategy<Value = Step> {
    let percent = || prop_oneof![Just(0), Just(34), Just(50), Just(100)];
    prop_oneof![
        3 => (0..3usize, 0..6u32, 0..=BROKEN, percent(), percent(), any::<bool>()).prop_map(
            |(service, count, version, min, surge, is_checked)| {
                Step::Want { service, count, version, min, surge, is_checked }
            }
        ),
        1 => (0..3usize).prop_map(Step::Stop),
        1 => (0..3usize).prop_map(Step::Remove),
        12 => (any::<usize>(), 0..6u8).prop_map(|(task, how)| Step::Run(task, how)),
        4 => (any::<usize>(), 0..5u8).prop_map(|(task, how)| Step::End(task, how)),
        3 => any::<usize>().prop_map(Step::Drained),
        3 => (0..70_000u64).prop_map(Step::Wait),
        1 => Just(Step::Restart),
        1 => Just(Step::RefuseLaunch),
        2 => (0..AGENTS.len(), any::<bool>()).prop_map(|(agent, is_draining)| Step::Drain(agent, is_draining)),
    ]
}

fn id(service: usize) -> ServiceId {
    ["shop", "shop/worker", "/dev/shop/web"][service].parse().unwrap()
}

fn take(world: &mut World, step: &Step) {
    let alive: Vec<(TaskId, String, TaskState)> = world.kernel.alive();
    let pick = |index: &usize| (!alive.is_empty()).then(|| alive[index % alive.len()].clone());
    match step {
        Step::Want { service, count, version, min, surge, is_checked } => {
            let mut wanted = spec(&format!("v{version}"), *count);
            (wanted.upgrade.min_healthy_percent, wanted.upgrade.max_surge_percent) = (*min, *surge);
            if !is_checked {
                wanted.template.health = None;
            }
            if wanted.validate().is_ok() {
                let input = world.write([(id(*service), Some(Arc::new(wanted)))]);
                world.input(input);
            }
        }
        Step::Stop(service) => {
            let Some(spec) = world.tree.get(&id(*service)) else { return };
            let mut spec = spec.as_ref().clone();
            spec.is_stopped = true;
            let input = world.write([(id(*service), Some(Arc::new(spec)))]);
            world.input(input);
        }
        Step::Remove(service) => {
            let input = world.write([(id(*service), None)]);
            world.input(input);
        }
        Step::Run(index, how) => {
            let Some((task, _, state)) = pick(index) else { return };
            let health = match how {
                0 => Health::Starting,
                1 => Health::Unhealthy { failures: 2, reason: "refused".into() },
                2 => Health::Unhealthy { failures: 3, reason: "refused".into() },
                _ => Health::Healthy,
            };
            if !matches!(state, TaskState::Stopping) {
                world.run(&task, health);
                world.input(Input::Tick);
            }
        }
        Step::End(index, how) => {
            let Some((task, ..)) = pick(index) else { return };
            let (outcome, exit) = match how {
                0 => (Outcome::Finished, Some(Exit::Code { code: 0 })),
                1 => (Outcome::Failed, Some(Exit::OutOfMemory)),
                2 => (Outcome::Lost, None),
                3 => (Outcome::Rejected, None),
                _ => (Outcome::Killed, Some(Exit::Signal { signal: 9 })),
            };
            world.end(&task, outcome, exit);
            world.input(Input::Tick);
        }
        Step::Drained(index) => {
            if let Some((task, ..)) = pick(index) {
                world.input(Input::Drained { task });
            }
        }
        Step::Wait(millis) => world.wait(Duration::from_millis(*millis)),
        Step::Restart => world.restart(),
        Step::RefuseLaunch => world.kernel.refuse_next += 1,
        Step::Drain(agent, is_draining) => {
            world.kernel.drain(AGENTS[*agent], *is_draining);
            world.input(Input::Tick);
        }
    }
}

/// From now on tasks do what their version does, and the router answers.
fn stop_interfering(world: &mut World) {
    for version in 0..BROKEN {
        world.behaviours.insert(format!("v{version}"), Behaviour::Healthy);
    }
    world.behaviours.insert(format!("v{BROKEN}"), Behaviour::Crash);
    (world.is_router_quick, world.kernel.refuse_next) = (true, 0);
    // One agent stays, whatever was said of the other.
    world.kernel.drain(AGENTS[0], false);
    for _ in 0..40 {
        for (task, version, state) in world.kernel.alive() {
            if version != format!("v{BROKEN}") && matches!(state, TaskState::Running(_)) {
                world.run(&task, Health::Healthy);
            } else if matches!(state, TaskState::Running(_)) {
                world.end(&task, Outcome::Failed, Some(Exit::Code { code: 1 }));
            }
        }
        world.input(Input::Tick);
        world.wait(Duration::from_secs(30));
    }
}

fn check_settled(world: &World) {
    world.check_saved();
    world.kernel.check_all_acknowledged();
    let mut all_good = true;
    for (id, wanted) in &world.tree {
        let service = world.services.get(id).unwrap();
        let is_broken = wanted.template.command == spec(&format!("v{BROKEN}"), 0).template.command;
        assert_eq!(service.version().unwrap().spec, *wanted);
        assert!(!service.deployment().unwrap().is_under_way(), "{:?}", service.deployment());
        let tally = service.tally();
        all_good &= !is_broken || wanted.wish() == 0;
        if is_broken && wanted.wish() > 0 {
            // Nothing to go back to, or it was good once and broke later: it is tried again and again, and whoever
            // serves meanwhile stays.
            assert!(tally.updated + tally.outdated >= wanted.wish(), "{tally:?}");
            assert_eq!(tally.outdated, tally.outdated_healthy, "{tally:?}");
            continue;
        }
        assert!(
            tally.is_settled() && tally.leaving == 0,
            "{id} is not settled: {tally:?} {:?}",
            service.instances
        );
    }
    if all_good {
        check_places(world);
    }
    assert_eq!(world.services.iter().count(), world.tree.len(), "removed services are forgotten");
    let instances: Vec<&Instance> =
        world.services.iter().flat_map(|service| service.instances.values().map(Arc::as_ref)).collect();
    let is_waiting =
        instances.iter().any(|i| matches!(&i.phase, Phase::Waiting(w) if w.not_before <= world.now));
    assert!(!is_waiting, "there is room for all");
    let known: Vec<&TaskId> =
        instances.iter().filter_map(|i| i.attempt()).map(|attempt| &attempt.task).collect();
    for (task, ..) in world.kernel.alive() {
        assert!(known.contains(&&task), "{task} runs and nobody knows it");
    }
}

/// A drained agent is empty, and otherwise no agent has two more of a service than the other.
fn check_places(world: &World) {
    let is_drained = world.kernel.is_draining(AGENTS[1]);
    if is_drained {
        assert_eq!(world.kernel.on_agent(AGENTS[1]), 0, "a drained agent still has tasks");
    }
    let can_move = |service: &&kogge_services::Service| {
        let (policy, wish) = (&service.version().unwrap().spec.upgrade, service.wish());
        !is_drained && policy.max_total(wish) > wish
    };
    for service in world.services.iter().filter(can_move) {
        let on = |agent: &str| {
            let attempts = service.instances.values().filter_map(|instance| instance.attempt());
            attempts.filter(|attempt| attempt.agent.as_str() == agent).count()
        };
        let (one, other) = (on(AGENTS[0]), on(AGENTS[1]));
        assert!(one.abs_diff(other) < 2, "{} stands unevenly: {one} and {other}", service.id());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn bounds_hold_always_and_all_is_as_wished_when_nothing_interferes(
        steps in proptest::collection::vec(step(), 1..80),
        is_router_quick in any::<bool>(),
    ) {
        let mut world = World::new();
        for agent in AGENTS {
            world.kernel.add_agent(agent, 100, &[]);
        }
        for version in 0..=BROKEN {
            world.behaviours.insert(format!("v{version}"), Behaviour::Manual);
        }
        world.is_router_quick = is_router_quick;
        let mut follower = Follower::new();
        for (n, step) in steps.iter().enumerate() {
            take(&mut world, step);
            world.check_saved();
            if n % 3 == 0 {
                follower.follow(&world);
            }
        }
        stop_interfering(&mut world);
        follower.follow(&world);
        follower.end(&world);
        check_settled(&world);
    }

    /// The same, under a version that is good once and never again: every deployment of it that can go back does.
    #[test]
    fn a_broken_version_never_stays_when_there_is_a_good_one(
        count in 1..5u32,
        (min, surge) in (prop_oneof![Just(0u32), Just(50), Just(100)], prop_oneof![Just(0u32), Just(34), Just(100)]),
    ) {
        let mut world = World::new();
        world.kernel.add_agent("a1", 100, &[]);
        world.behaviours.insert(format!("v{BROKEN}"), Behaviour::Crash);
        for version in [0, BROKEN] {
            let mut wanted = spec(&format!("v{version}"), count);
            (wanted.upgrade.min_healthy_percent, wanted.upgrade.max_surge_percent) = (min, surge);
            wanted.template.health = None;
            if wanted.validate().is_err() {
                return Ok(());
            }
            let input = world.write([(id(0), Some(Arc::new(wanted)))]);
            world.input(input);
            world.wait(Duration::from_secs(60));
        }
        let service = world.services.get(&id(0)).unwrap();
        let state = &service.deployment().unwrap().state;
        prop_assert!(matches!(state, DeploymentState::RolledBack { .. }), "{:?}", state);
        prop_assert!(service.tally().is_settled());
        prop_assert_eq!(world.tree[&id(0)].template.command.clone(), spec("v0", 0).template.command);
    }
}
