//! A task's life: orders until they are answered, updates until they are acknowledged.

mod world;

use std::time::Duration;

use kogge_model::id::RunId;
use kogge_model::link::ToControl;
use kogge_model::scheduler::{Call, KnownUpdate};
use kogge_model::task::{Outcome, TaskState};
use world::{World, ended, running, size, spec, task};

fn with_task() -> World {
    let mut world = World::new();
    world.subscribe("a");
    world.register("m", size(1000, &[]));
    world.launch("a", vec![spec("t", 100, &[])]);
    world
}

#[test]
fn a_launch_is_saved_before_it_is_sent() {
    let world = with_task();
    assert_eq!(world.store.tasks[&task("t")].status.state, TaskState::Staging);
    assert_eq!(world.count("m", "launch t"), 1);
}

#[test]
fn a_launch_is_repeated_with_growing_waits_until_a_status_answers() {
    let mut world = with_task();
    world.pass(Duration::from_millis(7_500), &["m"]);
    // Sent at 0, 1, 3 and 7 s.
    assert_eq!(world.count("m", "launch t"), 4);
    world.status("m", "t", 1, TaskState::Starting);
    world.pass(Duration::from_secs(60), &["m"]);
    assert_eq!(world.count("m", "launch t"), 4);
}

#[test]
fn a_kill_is_repeated_until_the_task_is_stopping() {
    let mut world = with_task();
    world.status("m", "t", 1, running());
    world.call("a", Call::Kill { task: task("t"), grace: None, reason: "test".into() });
    world.status("m", "t", 2, running());
    world.pass(Duration::from_millis(3_500), &["m"]);
    assert_eq!(world.count("m", "kill t"), 3);
    world.status("m", "t", 3, TaskState::Stopping);
    world.pass(Duration::from_secs(60), &["m"]);
    assert_eq!(world.count("m", "kill t"), 3);
}

#[test]
fn an_order_is_not_repeated_while_its_answer_may_wait_to_be_heard() {
    let mut world = with_task();
    world.kernel.observe_backlog(Duration::from_secs(2));
    world.pass(Duration::from_millis(2_900), &["m"]);
    assert_eq!(world.count("m", "launch t"), 1);
    world.kernel.observe_backlog(Duration::ZERO);
    world.pass(Duration::from_millis(200), &["m"]);
    assert_eq!(world.count("m", "launch t"), 2);
}

#[test]
fn an_order_that_went_out_late_is_answered_as_much_later() {
    let mut world = with_task();
    let decided = world.now;
    world.kernel.observe_delay(decided, Duration::from_millis(1_500));
    world.pass(Duration::from_millis(2_400), &["m"]);
    assert_eq!(world.count("m", "launch t"), 1);
    world.pass(Duration::from_millis(200), &["m"]);
    assert_eq!(world.count("m", "launch t"), 2);
}

#[test]
fn a_kill_before_the_launch_was_answered_takes_its_place() {
    let mut world = with_task();
    world.call("a", Call::Kill { task: task("t"), grace: None, reason: "test".into() });
    world.pass(Duration::from_secs(4), &["m"]);
    assert_eq!(world.count("m", "launch t"), 1);
    assert!(world.count("m", "kill t") > 2);
}

#[test]
fn an_update_is_acknowledged_only_after_the_framework_did() {
    let mut world = with_task();
    world.status("m", "t", 1, running());
    assert_eq!(world.updates("a"), [("t".to_owned(), 1, "running")]);
    assert_eq!(world.count("m", "acknowledge t 1"), 0);
    world.acknowledge("a", "t", 1);
    assert_eq!(world.count("m", "acknowledge t 1"), 1);
}

#[test]
fn a_repeated_update_is_passed_on_until_acknowledged_and_then_answered_by_the_kernel() {
    let mut world = with_task();
    world.status("m", "t", 1, running());
    world.status("m", "t", 1, running());
    assert_eq!(world.updates("a").len(), 2);
    world.acknowledge("a", "t", 1);
    world.status("m", "t", 1, running());
    assert_eq!(world.updates("a").len(), 2);
    assert_eq!(world.count("m", "acknowledge t 1"), 2);
}

#[test]
fn an_older_update_changes_nothing() {
    let mut world = with_task();
    world.status("m", "t", 2, running());
    world.status("m", "t", 1, TaskState::Starting);
    assert_eq!(world.store.tasks[&task("t")].status.state, running());
    assert_eq!(world.count("m", "acknowledge t 1"), 1);
    assert_eq!(world.updates("a").len(), 1);
}

#[test]
fn a_state_never_goes_back_even_with_a_newer_number() {
    let mut world = with_task();
    world.status("m", "t", 1, TaskState::Stopping);
    world.status("m", "t", 2, running());
    assert_eq!(world.store.tasks[&task("t")].status.state, TaskState::Stopping);
    assert_eq!(world.count("m", "acknowledge t 2"), 1);
}

#[test]
fn an_end_frees_resources_when_it_arrives_and_the_record_when_acknowledged() {
    let mut world = with_task();
    world.status("m", "t", 1, ended(Outcome::Finished));
    let held = |world: &World| world.kernel.view().agents().next().unwrap().held();
    assert_eq!(held(&world), kogge_kernel::Quantities::default());
    assert!(world.store.tasks.contains_key(&task("t")));
    world.acknowledge("a", "t", 1);
    assert!(world.store.tasks.is_empty());
    world.status("m", "t", 1, ended(Outcome::Finished));
    assert_eq!(world.count("m", "acknowledge t 1"), 2);
    assert_eq!(world.updates("a").len(), 1);
}

#[test]
fn an_echo_of_an_earlier_run_is_acknowledged_and_ignored() {
    let mut world = with_task();
    let mut echo = world.status_of("m", "t", 7, ended(Outcome::Failed));
    echo.run = kogge_model::id::RunId(0);
    world.say("m", ToControl::Status(echo));
    assert_eq!(world.store.tasks[&task("t")].status.state, TaskState::Staging);
    assert_eq!(world.count("m", "acknowledge t 7"), 1);
}

#[test]
fn a_kill_of_an_unknown_task_is_answered_with_its_end() {
    let mut world = with_task();
    world.call("a", Call::Kill { task: task("x"), grace: None, reason: "test".into() });
    assert_eq!(world.updates("a"), [("x".to_owned(), 0, "lost")]);
}

#[test]
fn nobody_kills_or_acknowledges_another_frameworks_task() {
    let mut world = with_task();
    world.subscribe("b");
    world.status("m", "t", 1, running());
    world.call("b", Call::Kill { task: task("t"), grace: None, reason: "test".into() });
    world.acknowledge("b", "t", 1);
    assert_eq!(world.refusals(), ["kill: task t belongs to another framework"]);
    assert_eq!((world.count("m", "kill t"), world.count("m", "acknowledge t 1")), (0, 0));
}

#[test]
fn reconciling_tells_the_newest_state_of_all_or_of_those_named() {
    let mut world = with_task();
    world.status("m", "t", 1, running());
    world.forget_words();
    world.call("a", Call::Reconcile(vec![]));
    world.call("a", Call::Reconcile(vec![task("t"), task("gone")]));
    assert_eq!(
        world.updates("a"),
        [("t".to_owned(), 1, "running"), ("t".to_owned(), 1, "running"), ("gone".to_owned(), 0, "lost")]
    );
}

/// What a framework knows of a task of which it has heard nothing.
fn nothing_of(id: &str) -> KnownUpdate {
    KnownUpdate { task: task(id), run: None, sequence: 0 }
}

#[test]
fn reconciling_all_tells_each_task_once_and_those_that_are_gone() {
    let mut world = with_task();
    world.status("m", "t", 1, running());
    world.forget_words();
    world.resume("a", vec![nothing_of("t"), nothing_of("gone")]);
    assert_eq!(world.updates("a"), [("t".to_owned(), 1, "running"), ("gone".to_owned(), 0, "lost")]);
    world.subscribe("b");
    world.resume("b", vec![nothing_of("t")]);
    assert_eq!(world.updates("b"), [("t".to_owned(), 0, "lost")], "it is none of theirs");
}

#[test]
fn what_a_framework_knows_already_is_not_told_again_and_counts_as_acknowledged() {
    let mut world = with_task();
    world.status("m", "t", 1, running());
    let status = world.kernel.view().task(&task("t")).unwrap().status.clone();
    let known = |sequence, run| KnownUpdate { task: task("t"), run: Some(run), sequence };
    world.forget_words();
    for (known, why) in [
        (known(0, status.run), "an older update"),
        (known(1, RunId(status.run.0 + 1)), "another launch"),
        (nothing_of("t"), "nothing"),
    ] {
        world.resume("a", vec![known]);
        assert_eq!(world.updates("a"), [("t".to_owned(), 1, "running")], "who knows {why} is told");
        world.forget_words();
    }
    world.resume("a", vec![known(1, status.run)]);
    assert_eq!(world.updates("a"), []);
    assert_eq!(world.count("m", "acknowledge t 1"), 1);
}

#[test]
fn an_end_that_is_known_is_settled_and_forgotten() {
    let mut world = with_task();
    world.status("m", "t", 1, ended(Outcome::Finished));
    let run = world.kernel.view().task(&task("t")).unwrap().status.run;
    let known = KnownUpdate { task: task("t"), run: Some(run), sequence: 1 };
    world.forget_words();
    world.resume("a", vec![known]);
    assert_eq!((world.updates("a"), world.count("m", "acknowledge t 1")), (vec![], 1));
    assert!(world.kernel.view().task(&task("t")).is_none());
}

#[test]
fn run_ids_never_return_even_when_their_tasks_are_forgotten() {
    let mut world = with_task();
    world.status("m", "t", 1, ended(Outcome::Finished));
    let run = world.kernel.view().task(&task("t")).unwrap().status.run;
    world.acknowledge("a", "t", 1);
    let mut world = world.restart();
    world.subscribe("a");
    world.register("m", size(1000, &[]));
    world.launch("a", vec![spec("t2", 100, &[])]);
    assert!(world.store.tasks[&task("t2")].status.run > run);
}

#[test]
fn many_updates_are_acknowledged_at_once_as_one_by_one() {
    let mut world = World::new();
    world.subscribe("a");
    world.register("m", size(1000, &[]));
    world.launch("a", vec![spec("t", 100, &[]), spec("u", 100, &[])]);
    world.status("m", "t", 1, running());
    world.status("m", "u", 1, running());
    world.forget_words();
    let updates = vec![(task("t"), 1), (task("unknown"), 1), (task("u"), 1), (task("u"), 9)];
    world.call("a", Call::AcknowledgeAll(updates));
    assert_eq!(world.words_to("m"), ["acknowledge t 1", "acknowledge u 1"]);
}
