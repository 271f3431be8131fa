//! What operators say of agents: drains, labels, reservations, and an end to waiting.

mod world;

use std::time::Duration;

use kogge_kernel::{AgentRecord, Input, Instruction, Phase};
use kogge_model::link::ToControl;
use kogge_model::resources::{Bytes, CpuMillis, Resources};
use kogge_model::scheduler::{Call, Event};
use kogge_model::task::Outcome;
use world::{World, agent, ended, running, size, spec, task};

/// A task that runs on `m`, and an idle agent `n`.
fn with_task() -> World {
    let mut world = World::new();
    world.subscribe("a");
    world.register("m", size(1000, &[]));
    world.launch("a", vec![spec("t", 600, &[])]);
    world.status("m", "t", 1, running());
    world.acknowledge("a", "t", 1);
    world.register("n", size(1000, &[]));
    world.forget_words();
    world
}

fn say(world: &mut World, name: &str, instruction: Instruction) {
    world.handle(Input::FromOperator { agent: agent(name), instruction });
}

fn label(key: &str, value: Option<&str>) -> Instruction {
    Instruction::Label([(key.to_owned(), value.map(str::to_owned))].into())
}

/// The agents that the framework was last told to leave.
fn inverse(world: &World, framework: &str) -> Option<Vec<String>> {
    let told = world.events.iter().rev().filter(|(to, _)| to.as_str() == framework);
    let mut sets = told.filter_map(|(_, event)| match event {
        Event::InverseOffers(offers) => Some(offers),
        _ => None,
    });
    Some(sets.next()?.iter().map(|offer| format!("{}: {}", offer.agent, offer.reason)).collect())
}

fn offered(world: &World) -> Vec<String> {
    world.offers("a").iter().map(|offer| offer.agent.to_string()).collect()
}

#[test]
fn a_drained_agent_gets_no_offers_and_its_frameworks_hear_of_it() {
    let mut world = with_task();
    world.call("a", Call::Revive);
    world.pass(Duration::from_secs(2), &["m", "n"]);
    let open = world.kernel.view().offers().find(|open| *open.agent == agent("m")).unwrap().id;
    say(&mut world, "m", Instruction::Drain("new disk".into()));
    assert_eq!(inverse(&world, "a").unwrap(), ["m: agent m is drained: new disk"]);
    assert!(world.events.iter().any(|(_, event)| *event == Event::Rescind(vec![open])), "{:?}", world.events);
    world.accept("a", &[open], vec![spec("u", 10, &[])]);
    assert!(world.refusals()[0].contains("no longer valid"), "{:?}", world.refusals());
    world.call("a", Call::Revive);
    world.pass(Duration::from_secs(20), &["m", "n"]);
    assert!(!offered(&world).contains(&"m".to_owned()), "{:?}", offered(&world));
    assert_eq!(world.count("m", "kill t"), 0, "nothing is ended for it");
    assert!(world.kernel.view().agent(&agent("m")).unwrap().is_emptying());
    world.status("m", "t", 2, ended(Outcome::Killed));
    world.acknowledge("a", "t", 2);
    assert!(!world.kernel.view().agent(&agent("m")).unwrap().is_emptying());
    world.forget_words();
    say(&mut world, "m", Instruction::Undrain);
    assert_eq!(inverse(&world, "a").unwrap(), [""; 0]);
    assert!(world.events.iter().any(|(_, event)| matches!(event, Event::AgentReady { .. })));
    assert!(offered(&world).contains(&"m".to_owned()));
}

#[test]
fn what_operators_said_outlives_the_server_and_the_agents_restart() {
    let mut world = with_task();
    say(&mut world, "m", Instruction::Drain("new disk".into()));
    say(&mut world, "n", label("zone", Some("b")));
    let reserved = Resources { cpu_millis: CpuMillis(300), ..Resources::default() };
    say(&mut world, "n", Instruction::Reserve(reserved));
    let mut world = world.restart();
    world.subscribe("a");
    assert_eq!(inverse(&world, "a").unwrap(), ["m: agent m is drained: new disk"]);
    world.register("m", size(2000, &[]));
    world.register("n", size(2000, &[]));
    let offers = world.offers("a");
    assert_eq!(offered(&world), ["n"]);
    assert_eq!(offers[0].attributes["zone"], "b");
    assert_eq!(offers[0].resources.cpu_millis, CpuMillis(1700));
    assert_eq!(offers[0].resources.mem_bytes, Bytes::mib(2000));
}

#[test]
fn a_subscription_begins_with_all_that_is_wanted_back() {
    let mut world = with_task();
    world.subscribe("b");
    assert_eq!(inverse(&world, "b").unwrap(), [""; 0]);
    say(&mut world, "m", Instruction::Drain("".into()));
    world.subscribe("b");
    assert_eq!(inverse(&world, "b").unwrap(), ["m: agent m is drained"]);
}

#[test]
fn a_label_counts_in_the_next_offer_and_goes_again() {
    let mut world = with_task();
    let zone = |world: &World| {
        let on_n = world.offers("a").into_iter().find(|offer| offer.agent == agent("n")).unwrap();
        on_n.attributes.get("zone").cloned()
    };
    let before = world.kernel.view().agent(&agent("n")).unwrap().attributes().get("zone");
    assert_eq!(before, None);
    say(&mut world, "n", label("zone", Some("b")));
    assert_eq!(zone(&world), Some("b".to_owned()));
    say(&mut world, "n", label("zone", None));
    assert_eq!(zone(&world), None);
}

#[test]
fn a_reservation_below_what_tasks_hold_ends_nothing_and_offers_nothing() {
    let mut world = with_task();
    let reserved = Resources { cpu_millis: CpuMillis(700), ..Resources::default() };
    say(&mut world, "m", Instruction::Reserve(reserved));
    let m = world.kernel.view().agent(&agent("m")).unwrap();
    assert!(m.is_over_committed() && m.free().is_empty());
    assert_eq!(world.count("m", "kill t"), 0);
    say(&mut world, "m", Instruction::Reserve(Resources::default()));
    assert!(!world.kernel.view().agent(&agent("m")).unwrap().is_over_committed());
}

#[test]
fn only_an_agent_that_is_given_up_is_forgotten() {
    let mut world = with_task();
    say(&mut world, "m", Instruction::Forget);
    assert!(world.decisions.iter().any(|told| told.starts_with("refuse: agent m is ready")));
    say(&mut world, "nobody", Instruction::Forget);
    say(&mut world, "m", Instruction::Drain("".into()));
    world.pass(Duration::from_secs(6), &["n"]);
    assert_eq!(world.kernel.view().agent(&agent("m")).unwrap().phase(), Phase::Lost);
    assert_eq!(world.updates("a"), [("t".to_owned(), 0, "lost")], "its tasks are reported gone");
    say(&mut world, "m", Instruction::Forget);
    assert!(world.kernel.view().agent(&agent("m")).is_none());
    assert!(world.store.agents.keys().all(|known| *known == agent("n")));
    assert!(!world.store.tasks.contains_key(&task("t")));
    assert_eq!(inverse(&world, "a").unwrap(), [""; 0]);
    world.pass(Duration::from_secs(60), &["n"]);
}

#[test]
fn the_last_agent_can_be_forgotten_though_it_is_waited_for() {
    let mut world = World::new();
    world.subscribe("a");
    world.register("m", size(1000, &[]));
    world.launch("a", vec![spec("t", 600, &[])]);
    world.status("m", "t", 1, running());
    say(&mut world, "m", Instruction::Forget);
    assert!(world.kernel.view().agent(&agent("m")).is_some());
    world.pass(Duration::from_secs(30), &[]);
    assert!(world.kernel.view().agent(&agent("m")).unwrap().is_forgettable());
    say(&mut world, "m", Instruction::Forget);
    assert_eq!(world.updates("a").last().unwrap().2, "lost");
    assert!(world.store.agents.is_empty() && world.store.tasks.is_empty());
    world.say("m", ToControl::Heartbeat);
    assert_eq!(world.words_to("m").last().unwrap(), "unknown");
}

#[test]
fn an_agents_record_of_an_older_program_still_loads() {
    let world = with_task();
    let record = world.store.agents.values().next().unwrap();
    let mut json = serde_json::to_value(record).unwrap();
    json.as_object_mut().unwrap().remove("rules");
    let old: AgentRecord = serde_json::from_value(json).unwrap();
    assert_eq!(old, *record);
}
