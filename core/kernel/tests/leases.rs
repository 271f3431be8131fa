//! Single-copy tasks (G9): given up only when they are dead for certain.

mod world;

use std::sync::Arc;
use std::time::Duration;

use kogge_model::id::RunId;
use kogge_model::link::{ToAgent, ToControl};
use kogge_model::name::InstanceId;
use kogge_model::task::{Outcome, TaskSpec, TaskState};
use world::{World, agent, ended, running, size, spec, task};

const SECOND: Duration = Duration::from_secs(1);

fn single(name: &str) -> TaskSpec {
    let mut spec = spec(name, 600, &[]);
    Arc::make_mut(&mut spec.template).lease_ms = Some(20_000);
    spec
}

fn run(world: &World, name: &str) -> RunId {
    world.kernel.view().task(&task(name)).expect("it is on record").status.run
}

/// Asks for the lease of `t`; whether it was granted.
fn ask(world: &mut World, ticket: u64) -> bool {
    let run = run(world, "t");
    world.forget_words();
    world.say("m", ToControl::AskLease { task: task("t"), run, ticket });
    let grant = ToAgent::GrantLease { task: task("t"), run, ticket };
    world.orders.contains(&(agent("m"), grant))
}

/// A single copy that runs on `m` and was granted a lease just now, and an idle agent `n`.
fn with_copy() -> World {
    with_copy_in(World::new())
}

fn with_copy_in(mut world: World) -> World {
    world.subscribe("a");
    world.register("m", size(1000, &[]));
    world.launch("a", vec![single("t")]);
    world.register("n", size(1000, &[]));
    assert!(ask(&mut world, 1));
    world.status("m", "t", 1, running());
    world.acknowledge("a", "t", 1);
    world.forget_words();
    world
}

#[test]
fn g9_a_single_copy_of_a_lost_agent_is_given_up_when_its_lease_is_over() {
    let mut world = with_copy();
    world.pass(SECOND * 21, &["n"]);
    assert!(world.updates("a").is_empty());
    let wait = world.decisions.iter().find(|decision| decision.starts_with("wait: "));
    assert!(wait.is_some_and(|text| text.contains("lease of 20 s")), "{:?}", world.decisions);
    world.pass(SECOND * 2, &["n"]);
    assert_eq!(world.updates("a"), [("t".to_owned(), 0, "lost")]);
}

#[test]
fn g9_it_is_given_up_at_once_when_its_agent_says_that_it_is_over() {
    let mut world = with_copy();
    world.pass(SECOND * 8, &["n"]);
    let status = world.status_of("m", "t", 2, ended(Outcome::Killed));
    world.register_with("m", size(1000, &[]), vec![status], &[]);
    assert_eq!(world.updates("a"), [("t".to_owned(), 2, "killed")]);
}

#[test]
fn g9_an_agent_that_returns_in_time_keeps_its_copy_and_its_lease_goes_on() {
    let mut world = with_copy();
    world.pass(SECOND * 15, &["n"]);
    assert!(!ask(&mut world, 2), "a lost agent has to register first");
    let status = world.status_of("m", "t", 1, running());
    world.register_with("m", size(1000, &[]), vec![status], &[("t", size(600, &[]))]);
    assert!(ask(&mut world, 3));
    world.pass(SECOND * 21, &["n"]);
    assert!(world.updates("a").is_empty(), "the last lease counts");
    world.pass(SECOND * 2, &["n"]);
    assert_eq!(world.updates("a"), [("t".to_owned(), 0, "lost")]);
    assert!(!ask(&mut world, 4));
}

#[test]
fn g9_a_copy_that_was_given_up_is_granted_nothing() {
    let mut world = with_copy();
    world.pass(SECOND * 23, &["n"]);
    let status = world.status_of("m", "t", 1, running());
    world.register_with("m", size(1000, &[]), vec![status], &[("t", size(600, &[]))]);
    assert!(!ask(&mut world, 2));
}

#[test]
fn g9_a_copy_that_was_granted_nothing_never_ran_and_is_given_up_with_its_agent() {
    let mut world = World::new();
    world.subscribe("a");
    world.register("m", size(1000, &[]));
    world.launch("a", vec![single("t")]);
    world.register("n", size(1000, &[]));
    world.forget_words();
    world.pass(SECOND * 6, &["n"]);
    assert_eq!(world.updates("a"), [("t".to_owned(), 0, "lost")]);
}

#[test]
fn g9_a_new_leader_presumes_that_a_lease_was_granted_just_now() {
    let mut world = with_copy().restart();
    world.subscribe("a");
    world.register("n", size(1000, &[]));
    world.forget_words();
    world.pass(SECOND * 21, &["n"]);
    assert!(world.updates("a").is_empty());
    world.pass(SECOND * 2, &["n"]);
    assert_eq!(world.updates("a"), [("t".to_owned(), 0, "lost")]);
}

#[test]
fn g9_an_agent_that_has_forgotten_its_copy_may_have_lost_only_its_memory() {
    let mut world = with_copy();
    world.register("m", size(1000, &[]));
    for _ in 0..20 {
        world.pass(SECOND, &["m", "n"]);
        world.register("m", size(1000, &[]));
    }
    assert!(world.updates("a").is_empty());
    for _ in 0..3 {
        world.pass(SECOND, &["m", "n"]);
        world.register("m", size(1000, &[]));
    }
    assert_eq!(world.updates("a"), [("t".to_owned(), 0, "lost")]);
}

#[test]
fn g9_the_wall_clock_may_jump_forward_and_no_lease_ends_for_it() {
    let (mut fresh, mut steady) = (World::new(), SECOND * 100);
    fresh.kernel.observe_steady(steady);
    let mut world = with_copy_in(fresh);
    assert!(ask(&mut world, 2));
    world.forget_words();
    world.now = world.now.plus(SECOND * 3_600);
    world.pass(SECOND * 10, &["n"]);
    assert!(world.updates("a").is_empty(), "by the steady clock no time has passed");
    steady += SECOND * 23;
    world.kernel.observe_steady(steady);
    world.pass(SECOND * 30, &["n"]);
    assert_eq!(world.updates("a"), [("t".to_owned(), 0, "lost")]);
}

#[test]
fn g9_a_copy_whose_end_was_ordered_keeps_its_lease_meanwhile() {
    let mut world = with_copy();
    let call =
        kogge_model::scheduler::Call::Kill { task: task("t"), grace: None, reason: "scaled down".into() };
    world.call("a", call);
    assert!(ask(&mut world, 2));
    world.status("m", "t", 2, TaskState::Stopping);
    assert!(ask(&mut world, 3));
    world.status("m", "t", 3, ended(Outcome::Killed));
    assert!(!ask(&mut world, 4));
}

#[test]
fn g9_an_agent_that_was_forgotten_by_hand_may_still_have_its_copy() {
    let mut world = with_copy();
    world.pass(SECOND * 8, &["n"]);
    let instruction = kogge_kernel::Instruction::Forget;
    world.handle(kogge_kernel::Input::FromOperator { agent: agent("m"), instruction: instruction.clone() });
    assert!(world.updates("a").is_empty());
    let status = world.status_of("m", "t", 1, running());
    world.register_with("m", size(1000, &[]), vec![status], &[("t", size(600, &[]))]);
    assert!(ask(&mut world, 2));
    world.pass(SECOND * 8, &["n"]);
    world.handle(kogge_kernel::Input::FromOperator { agent: agent("m"), instruction });
    assert!(world.updates("a").is_empty());
    world.pass(SECOND * 15, &["n"]);
    assert_eq!(world.updates("a"), [("t".to_owned(), 0, "lost")]);
    assert!(world.kernel.view().task(&task("t")).is_none(), "nobody is waited for");
}

#[test]
fn g9_a_leader_whose_records_may_have_forgotten_a_copy_lets_none_live_that_is_new_to_it() {
    let before = with_copy();
    let known = before.restart();
    let mut world = World::with(known.store.clone(), 3);
    world.now = world.now.max(known.now);
    let status = world.status_of("m", "t", 1, running());
    world.register_with("m", size(1000, &[]), vec![status], &[("t", size(600, &[]))]);
    assert!(ask(&mut world, 2), "the copy on record lives on");

    // The state was set back to a time when there was no copy.
    let mut world = World::with(world::Store::default(), 4);
    world.subscribe("a");
    world.register("m", size(1000, &[]));
    world.launch("a", vec![single("t")]);
    world.pass(SECOND, &["m"]);
    let waits = |world: &World| world.decisions.iter().filter(|one| one.starts_with("wait: ")).count();
    assert!(!ask(&mut world, 1));
    assert_eq!(waits(&world), 1, "{:?}", world.decisions);
    assert!(!ask(&mut world, 2));
    assert_eq!(waits(&world), 0, "it is said once");
    world.pass(SECOND * 21, &["m"]);
    assert!(ask(&mut world, 3));
}

/// `old`, an ordinary copy of a service, runs on `m`, which falls silent; then `t` is launched on `n` as a single one.
fn with_copy_from_before() -> World {
    let of_service = |spec: TaskSpec, number| {
        let service = "shop/web".parse().expect("a valid name");
        TaskSpec { instance: Some(InstanceId { service, number }), ..spec }
    };
    let mut world = World::new();
    world.subscribe("a");
    world.register("m", size(1000, &[]));
    world.launch("a", vec![of_service(spec("old", 600, &[]), 1)]);
    world.status("m", "old", 1, running());
    world.acknowledge("a", "old", 1);
    world.register("n", size(1000, &[]));
    world.pass(SECOND * 8, &["n"]);
    assert_eq!(world.updates("a").last(), Some(&("old".to_owned(), 0, "lost")));
    world.launch("a", vec![of_service(single("t"), 2)]);
    world.forget_words();
    world
}

/// Asks `n` for the lease of `t`; whether it was granted.
fn ask_of_n(world: &mut World, ticket: u64) -> bool {
    let run = run(world, "t");
    world.forget_words();
    world.say("n", ToControl::AskLease { task: task("t"), run, ticket });
    world.orders.contains(&(agent("n"), ToAgent::GrantLease { task: task("t"), run, ticket }))
}

#[test]
fn g9_a_single_copy_waits_for_an_agent_that_may_have_an_ordinary_one_of_its_service() {
    let mut world = with_copy_from_before();
    assert!(!ask_of_n(&mut world, 1));
    assert_eq!(world.decisions.len(), 1);
    assert!(world.decisions[0].starts_with("wait: old, a copy from before"), "{:?}", world.decisions);
    assert!(world.decisions[0].contains("may live on agent m"), "{:?}", world.decisions);
    assert!(!ask_of_n(&mut world, 2));
    assert!(world.decisions.is_empty(), "it is said once: {:?}", world.decisions);

    let status = world.status_of("m", "old", 1, running());
    world.register_with("m", size(1000, &[]), vec![status], &[("old", size(600, &[]))]);
    assert_eq!(world.count("m", "kill old"), 1);
    assert!(!ask_of_n(&mut world, 3), "it still lives");
    world.status("m", "old", 2, ended(Outcome::Killed));
    assert!(ask_of_n(&mut world, 4));
}

#[test]
fn g9_the_next_leader_waits_for_it_too() {
    let mut world = with_copy_from_before();
    assert!(!ask_of_n(&mut world, 1));
    world.status("n", "t", 1, TaskState::Staging);
    let mut world = world.restart();
    world.subscribe("a");
    let status = world.status_of("n", "t", 1, TaskState::Staging);
    world.register_with("n", size(1000, &[]), vec![status], &[("t", size(600, &[]))]);
    world.pass(SECOND * 60, &["n"]);
    assert!(!ask_of_n(&mut world, 2));
}

#[test]
fn g9_who_forgets_an_agent_says_that_its_ordinary_copies_are_dead() {
    let mut world = with_copy_from_before();
    assert!(!ask_of_n(&mut world, 1));
    let instruction = kogge_kernel::Instruction::Forget;
    world.handle(kogge_kernel::Input::FromOperator { agent: agent("m"), instruction });
    assert!(ask_of_n(&mut world, 2));
}

#[test]
fn g9_a_single_copy_that_runs_is_not_ended_for_one_that_is_given_up_later() {
    let mut world = with_copy_from_before();
    let instruction = kogge_kernel::Instruction::Forget;
    world.handle(kogge_kernel::Input::FromOperator { agent: agent("m"), instruction });
    assert!(ask_of_n(&mut world, 1));
    world.status("n", "t", 1, running());
    // The service is an ordinary one again, and loses a copy, before the single one has ended.
    world.register("o", size(1000, &[]));
    let mut later = spec("later", 600, &[]);
    later.instance = Some(InstanceId { service: "shop/web".parse().expect("a valid name"), number: 3 });
    world.launch("a", vec![later]);
    world.pass(SECOND * 8, &["n"]);
    assert_eq!(world.updates("a").last(), Some(&("later".to_owned(), 0, "lost")));
    assert!(ask_of_n(&mut world, 2));
}
