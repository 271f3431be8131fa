//! Frameworks come, leave, come back and end.

mod world;

use std::time::Duration;

use kogge_model::scheduler::{Call, Event};
use kogge_model::task::Outcome;
use world::{World, ended, fw, running, size, spec, task};

fn with_task() -> World {
    let mut world = World::new();
    world.subscribe("a");
    world.register("m", size(1000, &[]));
    world.launch("a", vec![spec("t", 600, &[])]);
    world.status("m", "t", 1, running());
    world
}

#[test]
fn nobody_is_obeyed_before_subscribing() {
    let mut world = World::new();
    world.call("a", Call::Revive);
    assert_eq!(world.refusals(), ["revive: the framework is not subscribed"]);
}

#[test]
fn a_framework_that_comes_back_hears_again_what_it_has_not_acknowledged() {
    let mut world = with_task();
    world.handle(kogge_kernel::Input::FrameworkGone { framework: fw("a") });
    world.status("m", "t", 2, ended(Outcome::Failed));
    world.forget_words();
    world.pass(Duration::from_secs(59), &["m"]);
    world.subscribe("a");
    assert_eq!(world.updates("a"), [("t".to_owned(), 2, "failed")]);
    world.acknowledge("a", "t", 2);
    assert!(world.store.tasks.is_empty());
}

#[test]
fn a_framework_that_stays_away_is_torn_down_with_its_tasks() {
    let mut world = with_task();
    world.handle(kogge_kernel::Input::FrameworkGone { framework: fw("a") });
    world.pass(Duration::from_secs(59), &["m"]);
    assert_eq!(world.count("m", "kill t"), 0);
    world.pass(Duration::from_secs(2), &["m"]);
    assert!(world.count("m", "kill t") > 0);
    world.status("m", "t", 2, ended(Outcome::Killed));
    assert!(world.store.tasks.is_empty() && world.store.frameworks.is_empty());
    assert_eq!(world.count("m", "acknowledge t 2"), 1);
}

#[test]
fn a_teardown_goes_on_after_a_restart() {
    let mut world = with_task();
    world.call("a", Call::Teardown);
    let mut world = world.restart();
    world.subscribe("a");
    assert!(world.refusals()[0].contains("torn down"));
    let status = world.status_of("m", "t", 1, running());
    world.register_with("m", size(1000, &[]), vec![status], &[("t", size(600, &[]))]);
    assert_eq!(world.count("m", "kill t"), 1);
    world.status("m", "t", 2, ended(Outcome::Killed));
    assert!(world.store.frameworks.is_empty() && world.store.tasks.is_empty());
}

#[test]
fn a_missing_framework_record_ends_no_task() {
    let mut world = with_task();
    world.store.frameworks.clear();
    let mut world = world.restart();
    let status = world.status_of("m", "t", 1, running());
    world.register_with("m", size(1000, &[]), vec![status], &[("t", size(600, &[]))]);
    world.pass(Duration::from_secs(3600), &["m"]);
    assert_eq!(world.count("m", "kill t"), 0);
    assert!(world.store.tasks.contains_key(&task("t")));
}

#[test]
fn a_second_subscription_gets_fresh_offers() {
    let mut world = World::new();
    world.subscribe("a");
    world.register("m", size(1000, &[]));
    let old = world.offers("a")[0].id;
    world.subscribe("a");
    assert!(world.offers("a").iter().all(|offer| offer.id > old));
    assert!(world.events.iter().any(|(_, event)| matches!(event, Event::Rescind(ids) if ids == &[old])));
}

#[test]
fn offers_of_a_framework_that_left_go_to_others() {
    let mut world = World::new();
    world.subscribe("a");
    world.register("m", size(1000, &[]));
    world.subscribe("b");
    world.handle(kogge_kernel::Input::FrameworkGone { framework: fw("a") });
    assert_eq!(world.offers("b").len(), 1);
}
