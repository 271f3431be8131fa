//! Offers: who gets them, when they end, and what may be launched on them.

mod world;

use std::time::Duration;

use kogge_model::id::OfferId;
use kogge_model::scheduler::{Call, Event};
use world::{World, agent, fw, size, spec, task};

fn with_one_agent() -> World {
    let mut world = World::new();
    world.subscribe("a");
    world.register("m1", size(1000, &[(31_000, 31_009)]));
    world
}

#[test]
fn the_whole_free_remainder_is_offered_at_once() {
    let mut world = with_one_agent();
    world.launch("a", vec![spec("t1", 300, &[31_003])]);
    assert!(world.offers("a").is_empty(), "the rest was declined for a second");
    world.pass(Duration::from_secs(2), &["m1"]);
    let offers = world.offers("a");
    assert_eq!(offers.len(), 1);
    assert_eq!(offers[0].resources, size(700, &[(31_000, 31_002), (31_004, 31_009)]));
}

#[test]
fn an_accept_that_breaks_a_rule_does_nothing_and_says_why() {
    let cases = [
        (vec![spec("t1", 600, &[]), spec("t2", 600, &[])], "0.60 cpus are asked for, 0.40 are left"),
        (vec![spec("t1", 1, &[]), spec("t1", 1, &[])], "launched twice in one call"),
        (vec![spec("../t1", 1, &[])], "is not a task id"),
        (vec![spec(&"x".repeat(121), 1, &[])], "is not a task id"),
        (vec![spec("old", 1, &[])], "task old exists already"),
        (vec![spec("t1", 1, &[32_000])], "host port 32000 is not left"),
        (vec![spec("t1", 1, &[31_001]), spec("t2", 1, &[31_001])], "host port 31001 is not left"),
    ];
    for (launches, why) in cases {
        let mut world = with_one_agent();
        world.register("m2", size(10, &[]));
        let on_m2 = world.offers("a").into_iter().find(|offer| offer.agent == agent("m2")).unwrap();
        world.accept("a", &[on_m2.id], vec![spec("old", 1, &[])]);
        let before = world.store.tasks.clone();
        world.launch("a", launches);
        assert!(world.refusals().iter().any(|text| text.contains(why)), "{why}: {:?}", world.refusals());
        assert_eq!(world.store.tasks, before, "{why}");
        assert!(!world.offers("a").is_empty(), "the offer stays");
    }
}

#[test]
fn a_port_binding_must_be_among_the_resources() {
    let mut world = with_one_agent();
    let mut greedy = spec("t1", 1, &[31_001]);
    greedy.resources.ports = kogge_model::port::PortSet::new();
    world.launch("a", vec![greedy]);
    assert!(world.refusals()[0].contains("without asking for it"));
}

#[test]
fn each_refused_launch_is_told_as_rejected_but_never_one_that_lives() {
    let mut world = with_one_agent();
    world.launch("a", vec![spec("t1", 1, &[])]);
    world.accept("a", &[OfferId(77)], vec![spec("t1", 1, &[]), spec("t2", 1, &[])]);
    assert_eq!(world.updates("a"), [("t2".to_owned(), 0, "rejected")]);
}

#[test]
fn an_offer_is_used_once() {
    let mut world = with_one_agent();
    let offer = world.offers("a")[0].id;
    world.accept("a", &[offer], vec![spec("t1", 1, &[])]);
    world.accept("a", &[offer], vec![spec("t2", 1, &[])]);
    assert_eq!(world.refusals(), [format!("accept: offer {offer} is no longer valid")]);
    assert!(world.kernel.view().task(&task("t2")).is_none());
}

#[test]
fn an_offer_named_twice_counts_once() {
    let mut world = with_one_agent();
    let offer = world.offers("a")[0].id;
    world.accept("a", &[offer, offer], vec![spec("t1", 1500, &[])]);
    assert_eq!(world.refusals().len(), 1);
}

#[test]
fn offers_of_two_agents_cannot_be_joined() {
    let mut world = with_one_agent();
    world.register("m2", size(1000, &[]));
    let offers: Vec<OfferId> = world.offers("a").iter().map(|offer| offer.id).collect();
    world.accept("a", &offers, vec![spec("t1", 1, &[])]);
    assert_eq!(world.refusals(), ["accept: the offers are of more than one agent"]);
}

#[test]
fn somebody_elses_offer_cannot_be_accepted_or_declined() {
    let mut world = with_one_agent();
    world.subscribe("b");
    let offer = world.offers("a")[0].id;
    world.accept("b", &[offer], vec![spec("t1", 1, &[])]);
    world.call("b", Call::Decline { offers: vec![offer], refuse: Duration::ZERO });
    assert_eq!(world.refusals().len(), 2);
    assert_eq!(world.offers("a").len(), 1);
}

#[test]
fn a_declined_agent_is_not_offered_again_until_the_refusal_ends() {
    let mut world = with_one_agent();
    let offer = world.offers("a")[0].id;
    world.call("a", Call::Decline { offers: vec![offer], refuse: Duration::from_secs(5) });
    world.pass(Duration::from_millis(4_900), &["m1"]);
    assert!(world.offers("a").is_empty());
    world.pass(Duration::from_millis(200), &["m1"]);
    assert_eq!(world.offers("a").len(), 1);
}

#[test]
fn a_refusal_of_nothing_still_makes_no_circle() {
    let mut world = with_one_agent();
    let offer = world.offers("a")[0].id;
    world.call("a", Call::Decline { offers: vec![offer], refuse: Duration::ZERO });
    assert!(world.offers("a").is_empty());
}

#[test]
fn more_room_than_was_refused_is_offered_at_once() {
    let mut world = with_one_agent();
    world.launch("a", vec![spec("t1", 300, &[])]);
    world.status("m1", "t1", 1, world::running());
    assert!(world.offers("a").is_empty());
    world.status("m1", "t1", 2, world::ended(kogge_model::task::Outcome::Finished));
    assert_eq!(world.offers("a")[0].resources, size(1000, &[(31_000, 31_009)]));
}

#[test]
fn revive_clears_refusals_and_suppress_ends_offers() {
    let mut world = with_one_agent();
    let offer = world.offers("a")[0].id;
    world.call("a", Call::Decline { offers: vec![offer], refuse: Duration::from_secs(3600) });
    world.call("a", Call::Revive);
    assert_eq!(world.offers("a").len(), 1);
    world.call("a", Call::Suppress);
    assert!(world.offers("a").is_empty());
    world.pass(Duration::from_secs(10), &["m1"]);
    world.register("m2", size(1000, &[]));
    assert!(world.offers("a").is_empty());
    world.call("a", Call::Revive);
    assert_eq!(world.offers("a").len(), 2);
}

#[test]
fn the_framework_with_the_smaller_weighted_share_is_next() {
    let mut world = World::new();
    world.subscribe_with("heavy", 2000, 0);
    world.subscribe_with("light", 1000, 0);
    for i in 0..12 {
        world.register(&format!("m{i:02}"), size(1000, &[]));
    }
    assert_eq!((world.offers("heavy").len(), world.offers("light").len()), (8, 4));
}

#[test]
fn an_old_offer_is_taken_back_only_when_somebody_waits() {
    let mut world = with_one_agent();
    world.pass(Duration::from_secs(60), &["m1"]);
    assert_eq!(world.offers("a").len(), 1);
    world.subscribe("b");
    world.pass(Duration::from_secs(11), &["m1"]);
    assert!(world.offers("a").is_empty());
    assert_eq!(world.offers("b").len(), 1);
    assert!(world.events.iter().any(|(to, event)| *to == fw("a") && matches!(event, Event::Rescind(_))));
}

#[test]
fn a_silent_agent_is_not_offered() {
    let mut world = with_one_agent();
    world.register("m2", size(1000, &[]));
    world.pass(Duration::from_millis(3_500), &["m2"]);
    assert_eq!(world.offers("a").iter().map(|offer| offer.agent.clone()).collect::<Vec<_>>(), [agent("m2")]);
    world.say("m1", kogge_model::link::ToControl::Heartbeat);
    assert_eq!(world.offers("a").len(), 2);
}

#[test]
fn why_there_is_no_place_names_what_stands_against_each_agent() {
    let mut world = with_one_agent();
    world.register("m2", size(5000, &[]));
    world.register("m3", size(5000, &[]));
    let on_m2 = world.offers("a").into_iter().find(|offer| offer.agent == agent("m2")).unwrap();
    world.accept("a", &[on_m2.id], vec![spec("t1", 4000, &[])]);
    world.pass(Duration::from_secs(4), &["m1", "m2"]);
    let why = world.kernel.view().why_no_place(&fw("a"), &size(2000, &[]));
    for part in ["1 agent too small even when empty", "1 agent too full", "1 agent silent"] {
        assert!(why.text.contains(part), "{why}");
    }
}
