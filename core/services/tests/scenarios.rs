//! Scenarios as text: scripts in `scenarios/`, what must follow in `golden/`.

#![expect(clippy::unwrap_used, reason = "a test says by a panic what does not hold")]

mod world;

macro_rules! scenarios {
    ($($test:ident: $file:literal,)*) => {$(
        #[test]
        fn $test() {
            let transcript = world::script::run_script(include_str!(concat!("scenarios/", $file, ".txt")));
            insta::with_settings!({ snapshot_path => "golden", prepend_module_to_snapshot => false, omit_expression => true }, {
                insta::assert_snapshot!($file, transcript);
            });
        }
    )*};
}

scenarios! {
    a_new_service_is_spread_and_done_when_healthy: "first_deployment",
    a_replace_goes_one_by_one_within_its_bounds: "rolling_replace",
    a_crash_loop_backs_off_and_is_remembered: "crash_loop",
    an_unhealthy_instance_is_replaced: "unhealthy",
    a_version_that_crashes_is_taken_back: "broken_version",
    a_roll_back_keeps_the_number_and_asks_until_answered: "broken_version_scaled",
    a_version_that_ends_at_once_pushes_nobody_out: "broken_without_check",
    a_deployment_without_progress_goes_back: "no_progress",
    a_version_that_never_gets_healthy_is_taken_back: "never_healthy",
    a_first_version_that_fails_says_why_and_is_tried_again: "first_version_broken",
    what_finds_no_place_says_what_is_missing: "no_room",
    old_instances_make_room_on_full_agents: "makes_room",
    scaling_takes_the_least_worth_and_the_lowest_numbers: "scale",
    a_newer_deployment_wins_in_order: "overlap",
    stopping_and_removing_drain_first: "stop_and_remove",
    lost_tasks_are_replaced_at_once_but_without_a_storm: "lost_agent",
    unknown_tasks_are_adopted_never_killed: "unknown_tasks",
    a_refused_launch_is_nobodys_crash: "refused_launch",
    a_restart_goes_on_where_it_stood: "restart",
    a_drained_agent_is_left_only_for_something_healthy: "drain",
    what_may_not_run_on_top_goes_first_if_it_has_a_place: "drain_without_surge",
    what_cannot_go_elsewhere_stays_and_says_why: "drain_no_place",
    a_drain_that_is_taken_back_keeps_who_serves: "drain_undone",
    a_drain_and_a_deployment_go_together: "drain_while_deploying",
    new_agents_get_work_one_by_one_and_then_nothing_moves: "balance",
    a_new_zone_gets_its_share_once_all_is_well: "balance_spread",
    a_move_that_comes_to_nothing_is_not_tried_again_at_once: "balance_fails",
}
