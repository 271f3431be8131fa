//! Agents come, fall silent, are lost and return; and what that means for their tasks.

mod world;

use std::time::Duration;

use kogge_kernel::Phase;
use kogge_model::agent::AgentInfo;
use kogge_model::id::{ClusterId, Term};
use kogge_model::link::{ToAgent, ToControl};
use kogge_model::reason::Reason;
use kogge_model::scheduler::{Call, Event};
use kogge_model::task::{Outcome, TaskState};
use world::{World, agent, ended, info, running, size, spec, task};

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

fn phase(world: &World, name: &str) -> Phase {
    world.kernel.view().agent(&agent(name)).expect("the agent is known").phase()
}

#[test]
fn a_silent_agent_is_suspect_then_lost_and_its_tasks_with_it() {
    let mut world = with_task();
    world.pass(Duration::from_millis(3_100), &["n"]);
    assert_eq!(phase(&world, "m"), Phase::Suspect);
    assert!(world.updates("a").is_empty());
    world.pass(Duration::from_millis(2_000), &["n"]);
    assert_eq!(phase(&world, "m"), Phase::Lost);
    assert_eq!(world.updates("a"), [("t".to_owned(), 0, "lost")]);
    assert!(world.events.iter().any(|(_, event)| matches!(event, Event::AgentLost { .. })));
}

#[test]
fn an_agent_that_is_closed_keeps_its_tasks_and_gets_no_new_ones() {
    let mut world = with_task();
    let register = |world: &mut World, closed: Option<Reason>| {
        let info = AgentInfo { closed, ..info("m", size(1000, &[])) };
        let tasks = vec![world.status_of("m", "t", 1, running())];
        let held = [(task("t"), size(600, &[]))].into();
        world.say("m", ToControl::Register { info, cluster: None, term: Term(0), tasks, held });
    };
    let is_offered = |world: &World| world.offers("a").iter().any(|offer| offer.agent == agent("m"));
    register(&mut world, Some(Reason::new("only 3 MiB are free")));
    world.pass(Duration::from_secs(3), &["m", "n"]);
    assert!(!is_offered(&world) && phase(&world, "m") == Phase::Ready);
    assert!(world.updates("a").is_empty(), "its task runs on");
    register(&mut world, None);
    world.pass(Duration::from_secs(3), &["m", "n"]);
    assert!(is_offered(&world) && world.updates("a").is_empty());
}

#[test]
fn a_word_in_time_keeps_an_agent() {
    let mut world = with_task();
    world.pass(Duration::from_millis(4_900), &["n"]);
    world.say("m", ToControl::Heartbeat);
    assert_eq!(phase(&world, "m"), Phase::Ready);
    world.pass(Duration::from_secs(4), &["n"]);
    assert!(world.updates("a").is_empty());
}

#[test]
fn a_word_that_waits_to_be_heard_is_no_silence() {
    let mut world = with_task();
    world.kernel.observe_backlog(Duration::from_secs(4));
    world.pass(Duration::from_millis(6_900), &["n"]);
    assert_eq!(phase(&world, "m"), Phase::Ready);
    world.pass(Duration::from_millis(200), &["n"]);
    assert_eq!(phase(&world, "m"), Phase::Suspect);
    world.kernel.observe_backlog(Duration::ZERO);
    world.pass(Duration::from_millis(2_000), &["n"]);
    assert_eq!(phase(&world, "m"), Phase::Lost, "what was waited for did not come");
}

#[test]
fn the_only_agent_is_waited_for_however_long_it_takes() {
    let mut world = World::new();
    world.subscribe("a");
    world.register("m", size(1000, &[]));
    world.launch("a", vec![spec("t", 600, &[])]);
    world.status("m", "t", 1, running());
    world.pass(Duration::from_secs(7200), &[]);
    let status = world.status_of("m", "t", 1, running());
    world.register_with("m", size(1000, &[]), vec![status], &[("t", size(600, &[]))]);
    assert_eq!(world.updates("a").last().unwrap().2, "running");
    assert_eq!(world.count("m", "kill t"), 0);
    assert!(world.decisions.iter().any(|text| text.starts_with("wait: ")));
}

#[test]
fn many_agents_that_vanish_together_are_waited_for() {
    let mut world = with_task();
    for i in 0..8 {
        world.register(&format!("x{i}"), size(1, &[]));
    }
    let alive: Vec<&str> = vec!["n", "x0", "x1", "x2", "x3", "x4", "x5"];
    world.pass(Duration::from_secs(55), &alive);
    assert!(world.updates("a").is_empty(), "three of ten vanished together");
    world.pass(Duration::from_secs(10), &alive);
    assert_eq!(world.updates("a"), [("t".to_owned(), 0, "lost")]);
}

#[test]
fn the_last_of_many_that_come_back_are_waited_for_as_long_as_others_come() {
    let mut world = with_task();
    let names: Vec<String> = (0..48).map(|i| format!("x{i}")).collect();
    names.iter().for_each(|name| world.register(name, size(1, &[])));
    // The next leader: four come back each second, so that after 9 s fewer than a fifth are away.
    let mut world = world.restart();
    world.subscribe("a");
    let mut back = vec!["n"];
    world.register("n", size(1000, &[]));
    for four in names.chunks(4) {
        for name in four {
            world.register(name, size(1, &[]));
            back.push(name);
        }
        world.pass(Duration::from_secs(1), &back);
        assert_eq!(phase(&world, "m"), Phase::Expected, "{} are back", back.len());
    }
    world.pass(Duration::from_secs(6), &back);
    assert_eq!(phase(&world, "m"), Phase::Lost, "nobody else came for a while");
}

#[test]
fn two_of_ten_agents_are_not_many() {
    let mut world = with_task();
    for i in 0..8 {
        world.register(&format!("x{i}"), size(1, &[]));
    }
    world.pass(Duration::from_secs(6), &["n", "x0", "x1", "x2", "x3", "x4", "x5", "x6"]);
    assert_eq!(world.updates("a"), [("t".to_owned(), 0, "lost")]);
}

#[test]
fn a_server_that_stood_still_blames_no_agent_for_it() {
    let mut world = with_task();
    world.now = world.now.plus(Duration::from_secs(30));
    world.handle(kogge_kernel::Input::Tick);
    assert_eq!(phase(&world, "m"), Phase::Ready);
    world.pass(Duration::from_secs(6), &["n"]);
    assert_eq!(phase(&world, "m"), Phase::Lost);
}

#[test]
fn a_task_that_was_given_up_is_killed_when_its_agent_returns_and_holds_its_place_until_then() {
    let mut world = with_task();
    world.pass(Duration::from_secs(6), &["n"]);
    let status = world.status_of("m", "t", 1, running());
    world.register_with("m", size(1000, &[]), vec![status], &[("t", size(600, &[]))]);
    assert_eq!(world.count("m", "kill t"), 1);
    let graces = world.orders.iter().filter_map(|(_, order)| match order {
        ToAgent::Kill { grace_ms, .. } => Some(grace_ms.expect("it is bounded")),
        _ => None,
    });
    assert!(graces.max().is_some_and(|grace| grace < 10_000), "what is too many is gone after 10 s (G10)");
    let on_m = world.offers("a").into_iter().find(|offer| offer.agent == agent("m")).unwrap();
    assert_eq!(on_m.resources, size(400, &[]));
    world.pass(Duration::from_secs(1), &["m", "n"]);
    assert!(world.count("m", "kill t") > 1, "repeated until answered");
    world.status("m", "t", 2, ended(Outcome::Killed));
    assert_eq!(world.count("m", "acknowledge t 2"), 1);
    assert!(world.store.tasks.is_empty());
    let updates = world.updates("a");
    assert_eq!(updates, [("t".to_owned(), 0, "lost")], "the framework hears of one end only");
}

#[test]
fn a_launch_that_may_still_be_under_way_to_a_returned_agent_is_killed_too() {
    let mut world = World::new();
    world.subscribe("a");
    world.register("m", size(1000, &[]));
    world.register("n", size(1000, &[]));
    let on_m = world.offers("a").into_iter().find(|offer| offer.agent == agent("m")).unwrap();
    world.accept("a", &[on_m.id], vec![spec("t", 600, &[])]);
    world.pass(Duration::from_secs(6), &["n"]);
    assert_eq!(phase(&world, "m"), Phase::Lost);
    world.register("m", size(1000, &[]));
    assert_eq!(world.count("m", "kill t"), 1);
    assert_eq!(world.kernel.view().agent(&agent("m")).unwrap().held().cpu_millis.0, 600);
}

#[test]
fn a_task_without_a_record_is_left_alone_and_accounted_for() {
    let mut world = World::new();
    world.subscribe("a");
    let stray = world.status_of("m", "old", 3, running());
    world.register_with("m", size(1000, &[]), vec![stray], &[("old", size(700, &[]))]);
    assert_eq!(world.offers("a")[0].resources, size(300, &[]));
    assert!(world.decisions[0].contains("there is no record"), "{:?}", world.decisions);
    for second in 0..30 {
        world.pass(Duration::from_secs(1), &["m"]);
        assert_eq!(world.count("m", "kill old"), 0, "after {second} s");
    }
    world.status("m", "old", 4, ended(Outcome::Finished));
    assert_eq!(world.count("m", "acknowledge old 4"), 1);
    assert!(world.offers("a").iter().any(|offer| offer.resources == size(700, &[])), "the rest is offered");
}

#[test]
fn an_explicit_kill_reaches_a_task_without_a_record() {
    let mut world = World::new();
    world.subscribe("a");
    let stray = world.status_of("m", "old", 3, running());
    world.register_with("m", size(1000, &[]), vec![stray], &[("old", size(700, &[]))]);
    world.call("a", Call::Kill { task: task("old"), grace: None, reason: "test".into() });
    assert_eq!(world.count("m", "kill old"), 1);
    assert_eq!(world.updates("a"), [("old".to_owned(), 0, "running")]);
}

#[test]
fn a_launch_the_agent_has_not_heard_of_is_sent_again_when_it_registers() {
    let mut world = World::new();
    world.subscribe("a");
    world.register("m", size(1000, &[]));
    world.launch("a", vec![spec("t", 600, &[])]);
    let mut world = world.restart();
    assert_eq!(world.count("m", "launch t"), 0);
    world.register("m", size(1000, &[]));
    assert_eq!(world.count("m", "launch t"), 1);
    assert!(world.offers("a").is_empty());
}

#[test]
fn a_late_echo_of_an_old_registration_loses_no_task() {
    let mut world = with_task();
    world.register("m", size(1000, &[]));
    assert!(world.updates("a").is_empty());
    for _ in 0..5 {
        world.pass(Duration::from_secs(1), &["m", "n"]);
        assert!(world.count("m", "unknown") > 0, "it is asked again");
    }
    let status = world.status_of("m", "t", 1, running());
    world.register_with("m", size(1000, &[]), vec![status], &[("t", size(600, &[]))]);
    world.register("m", size(1000, &[]));
    assert!(world.updates("a").is_empty());
}

#[test]
fn what_is_acknowledged_is_not_acknowledged_again_for_a_registration() {
    let mut world = with_task();
    let status = |world: &World| world.status_of("m", "t", 1, running());
    let held = [("t", size(600, &[]))];
    world.register_with("m", size(1000, &[]), vec![status(&world)], &held);
    assert_eq!(world.count("m", "acknowledge t 1"), 0);
    // Its agent has no answer yet, and says it again.
    world.status("m", "t", 1, running());
    assert_eq!(world.count("m", "acknowledge t 1"), 1);
    assert!(world.updates("a").is_empty());
}

#[test]
fn a_task_that_its_agent_keeps_leaving_out_is_lost() {
    let mut world = with_task();
    for _ in 0..6 {
        world.register("m", size(1000, &[]));
        world.pass(Duration::from_secs(1), &["m", "n"]);
    }
    assert_eq!(world.updates("a"), [("t".to_owned(), 0, "lost")]);
    assert!(world.count("m", "kill t") > 0, "should it turn up after all");
}

#[test]
fn an_agent_that_returns_smaller_gets_nothing_new_and_that_is_explained() {
    let mut world = with_task();
    let status = world.status_of("m", "t", 1, running());
    world.register_with("m", size(500, &[]), vec![status], &[("t", size(600, &[]))]);
    world.pass(Duration::from_secs(20), &["m", "n"]);
    assert!(world.offers("a").iter().all(|offer| offer.agent != agent("m")));
    assert!(world.decisions.iter().any(|text| text.contains("less than its tasks hold")));
}

#[test]
fn another_clusters_agent_is_turned_away_without_an_order() {
    let mut world = World::new();
    let (info, tasks, held) = (info("m", size(1, &[])), vec![], std::collections::BTreeMap::new());
    let cluster = Some(ClusterId::new("other"));
    world.say("m", ToControl::Register { info, cluster, term: Term(0), tasks, held });
    assert!(world.words_to("m").is_empty() && world.store.agents.is_empty());
    assert!(world.decisions[0].contains("belongs to cluster other"));
}

#[test]
fn a_leader_older_than_its_agents_steps_down() {
    let mut world = World::new();
    let (info, tasks, held) = (info("m", size(1, &[])), vec![], std::collections::BTreeMap::new());
    world.say("m", ToControl::Register { info, cluster: None, term: Term(9), tasks, held });
    assert!(world.stepped_down.unwrap().contains("term 9"));
}

#[test]
fn an_agent_that_speaks_before_it_registers_is_asked_who_it_is() {
    let mut world = with_task().restart();
    world.say("m", ToControl::Heartbeat);
    world.say("x", ToControl::Heartbeat);
    assert_eq!((world.count("m", "unknown"), world.count("x", "unknown")), (1, 1));
}

#[test]
fn a_new_leader_gives_agents_time_before_it_judges() {
    let mut world = with_task().restart();
    world.subscribe("a");
    world.register("n", size(1000, &[]));
    world.pass(Duration::from_millis(9_900), &["n"]);
    assert_eq!(phase(&world, "m"), Phase::Expected);
    world.pass(Duration::from_millis(200), &["n"]);
    assert_eq!(phase(&world, "m"), Phase::Lost);
}

#[test]
fn an_agent_lost_for_long_is_forgotten_with_what_it_held() {
    let mut world = with_task();
    world.pass(Duration::from_secs(6), &["n"]);
    let mut config = world::config(2);
    config.forget_agent_after = Duration::from_secs(60);
    world.kernel = kogge_kernel::Kernel::restore(world.now, config, world.store.records());
    world.register("n", size(1000, &[]));
    world.pass(Duration::from_secs(80), &["n"]);
    assert!(!world.store.agents.contains_key(&agent("m")) && world.store.tasks.is_empty());
}

#[test]
fn an_update_of_a_task_left_out_of_the_registration_asks_for_a_new_one() {
    let mut world = with_task();
    world.status("m", "ghost", 4, TaskState::Starting);
    assert_eq!(world.words_to("m"), ["unknown"]);
}
