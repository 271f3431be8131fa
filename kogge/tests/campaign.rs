//! The quickest rows of the campaign, on etcd: a cluster to which something happens while users ask and clients write.
//! All rows, on both engines: `make campaign`.

use std::path::Path;
use std::sync::{Mutex, PoisonError};

use kogge_testkit::campaign::{Trial, rows};
use kogge_testkit::cluster::Engine;

/// Whether it is done is judged here, how quickly by `make campaign`.
const SLACK: u32 = 5;

/// The same every time; other seeds are played by `make campaign`.
const SEED: u64 = 1;

/// Each has a cluster of nine machines: one after the other.
static TURN: Mutex<()> = Mutex::new(());

fn passes(name: &str) {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let kogge = Path::new(env!("CARGO_BIN_EXE_kogge"));
    let row = rows::named(name).unwrap_or_else(|| panic!("there is no row {name}"));
    let trial = Trial {
        kogge: kogge.into(),
        other: kogge.into(),
        engine: Engine::Etcd,
        seed: SEED,
        slack: SLACK,
        herd: None,
        logs: None,
    };
    let report = row.run(&trial);
    assert!(
        report.passes,
        "{}\nagain: make campaign ONLY={name} STATE=etcd FROM={SEED} SEEDS=1",
        report.why.unwrap_or_default()
    );
}

#[test]
fn g1_g8_g27_a_killed_leader_is_replaced_and_no_write_is_lost() {
    passes("leader-killed");
}

#[test]
fn g8_the_lead_is_handed_over_under_load_and_no_write_is_lost() {
    passes("step-down");
}

#[test]
fn g8_g11_a_leader_that_nobody_reaches_gives_way() {
    passes("leader-unheard");
}

#[test]
fn g8_g11_a_leader_whose_link_carries_small_packets_only_gives_way() {
    passes("small-packets");
}

#[test]
fn g8_a_leader_that_is_slow_while_others_are_not_gives_way() {
    passes("leader-slow");
}

#[test]
fn g7_an_agent_whose_disk_is_full_takes_nothing_new_and_keeps_what_runs() {
    passes("agent-disk-full");
}

#[test]
fn g7_an_agent_that_is_killed_or_stands_still_takes_no_task_with_it() {
    passes("agent-killed");
}

#[test]
fn g7_an_agent_whose_link_is_up_for_moments_is_not_given_up() {
    passes("link-in-moments");
}

#[test]
fn g27_a_lost_machine_is_replaced_and_comes_back() {
    passes("machine-lost");
}

#[test]
fn g4_servers_with_the_wrong_state_kill_no_task() {
    passes("wrong-state");
}

#[test]
fn g10_what_is_too_many_after_a_partition_ends() {
    passes("agent-isolated");
}

#[test]
fn g4_g27_without_a_majority_of_the_engine_all_but_writes_goes_on() {
    passes("engine-away");
}

#[test]
fn g9_a_single_copy_is_dead_before_the_next_one_lives() {
    passes("single-copy");
}
