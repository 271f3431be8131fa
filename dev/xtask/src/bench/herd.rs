//! Ten thousand agents with a hundred thousand instances: what they cost their leader, and how soon the next one has
//! them all.
//!
//! A new leader has an agent when it has taken its registration, which tells every task that the agent has.

use std::time::{Duration, Instant};

use kogge_testkit::herd::Herd;

use super::fleet::{Fleet, Wanted, tell};
use super::lab::Lab;
use super::process::{cpu_seconds, footprint};
use super::row::{Better, Goal, Row, Series};
use super::talk;

const SERVICES: usize = 100;
const MIB: f64 = 1_048_576.0;
const PATIENCE: Duration = Duration::from_secs(280);
/// Until what the load left behind is done.
const SETTLING: Duration = Duration::from_secs(5);
const WATCHED: Duration = Duration::from_secs(10);

pub(crate) fn run(lab: &Lab) -> anyhow::Result<Vec<Row>> {
    let (agents, instances) = lab.herd_size();
    let mut fleet = Fleet::start(lab, "herd")?;
    let begun = Instant::now();
    let mut herd = fleet.herd(agents, PATIENCE)?;
    let note = format!("{agents} agents, {instances} instances");
    talk(&format!("bench: {agents} agents have joined after {:.1} s", begun.elapsed().as_secs_f64()));
    let leader = fleet.leader()?.process.pid();
    let (idle_share, _) = watch(leader, &herd);
    let begun = Instant::now();
    let wanted =
        Wanted { prefix: "s", services: SERVICES, instances: instances / SERVICES, every: Duration::ZERO };
    let _ = fleet.load(&wanted)?;
    herd.wait("all instances to run", PATIENCE, tell, |tally| tally.running == instances)?;
    talk(&format!("bench: {instances} instances run after {:.1} s", begun.elapsed().as_secs_f64()));
    fleet.settle(instances, PATIENCE)?;
    talk(&format!("bench: the leader knows it after {:.1} s", begun.elapsed().as_secs_f64()));
    // In a cloud that has stood for a minute they do; few may be on their way anew.
    let ready = fleet.ways(agents) / 100 * 99;
    herd.wait("agents to have ways to the other servers", PATIENCE, tell, |tally| tally.spares >= ready)?;
    std::thread::sleep(SETTLING);
    let (share, bytes) = watch(leader, &herd);
    let term = herd.tally().term;
    fleet.kill(leader)?;
    let killed = Instant::now();
    herd.wait("all agents to be registered", PATIENCE, tell, |tally| {
        tally.term > term && tally.registered == agents
    })?;
    let resync = killed.elapsed().as_secs_f64();
    std::thread::sleep(SETTLING);
    let (next_share, next_bytes) = watch(fleet.leader()?.process.pid(), &herd);
    let one = |value: f64| -> Series { [value].into_iter().collect() };
    let row = |name, unit, value| Row::new(name, unit, Better::Lower, one(value)).note(note.clone());
    Ok(vec![
        row("herd: processor of the leader, agents alone", "core", idle_share),
        row("herd: processor of the leader", "core", share).goal(Goal::AtMost(1.0)),
        row("herd: PSS of the leader", "MiB", bytes / MIB).goal(Goal::AtMost(1_024.0)),
        row("herd: leader killed → all agents registered", "s", resync).goal(Goal::AtMost(5.0)),
        row("herd: processor of the next leader", "core", next_share).goal(Goal::AtMost(1.0)),
        row("herd: PSS of the next leader", "MiB", next_bytes / MIB).goal(Goal::AtMost(1_024.0)),
    ])
}

/// Cores that `server` used while nothing changed, and its memory then.
fn watch(server: u32, herd: &Herd) -> (f64, f64) {
    let (begun, before, herd_before) = (Instant::now(), cpu_seconds(&[server]), cpu_seconds(&herd.pids()));
    std::thread::sleep(WATCHED);
    let wall = begun.elapsed().as_secs_f64();
    let share = (cpu_seconds(&[server]) - before) / wall;
    let herd_share = (cpu_seconds(&herd.pids()) - herd_before) / wall;
    let pss = footprint(&[server]).pss;
    let tally = herd.tally();
    talk(&format!(
        "bench: the leader uses {share:.3} cores and {:.0} MiB, the herd {herd_share:.3} cores; {tally}",
        pss / MIB
    ));
    (share, pss)
}
