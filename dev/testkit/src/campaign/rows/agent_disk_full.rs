//! The disk of an agent is full: it says so and gets nothing new, what runs there runs on, and what ends there starts
//! elsewhere. With room again it is as any other.

use std::time::{Duration, Instant};

use serde_json::json;

use super::agent_isolated::healthy_off;
use super::{Row, seconds};
use crate::campaign::{Miss, Stage};
use crate::cluster::{Fault, Plan, Role};

pub(super) const ROW: Row =
    Row { name: "agent-disk-full", promises: "G7 G24 G27", shape, play, back: super::BACK };

/// So much must be free before a closed machine takes tasks again, and more than that is.
const DISK_MIB: u64 = 512;
/// Until everybody knows, on the way there and back.
const TOLD: Duration = Duration::from_secs(5);
/// Until what ended there runs elsewhere.
const GOAL: Duration = Duration::from_secs(6);
/// More instances than the other machines have, so that the full one would be asked.
const MORE: usize = 6;

fn shape(plan: &mut Plan) {
    plan.disks = [("a1".to_owned(), DISK_MIB)].into();
}

fn play(stage: &mut Stage) -> Result<String, Miss> {
    let tasks = stage.tasks()?;
    stage.fault("a1", &Fault::Fill)?;
    let (_, told) = stage.until("a1 says that it is full", TOLD, |stage| is_open(stage, false))?;
    deploy(stage, "beside", MORE)?;
    let (_, up) = stage.until("all others are up", GOAL * 2, |stage| is_up(stage, "beside", 0))?;
    stage.untouched(&tasks)?;
    // Whoever starts anew finds no room, and takes over what runs.
    stage.fault("a1", &Fault::Restart { program: None })?;
    stage.returned("a1", super::BACK)?;
    stage.untouched(&tasks)?;
    let (lost, killed) = (tasks.on("a1"), Instant::now());
    if lost.0.is_empty() {
        return Err(Miss::new("nothing ran on a1"));
    }
    // A user may be with the one that dies.
    stage.forgive(Duration::from_secs(1));
    lost.kill()?;
    stage.until("what ended runs elsewhere", GOAL, |stage| healthy_off(stage, "a1"))?;
    let replaced = killed.elapsed();
    tasks.off("a1").alive()?;
    stage.fault("a1", &Fault::Heal)?;
    stage.until("a1 is as any other", TOLD, |stage| is_open(stage, true))?;
    deploy(stage, "each", stage.names(Role::Agent).len())?;
    stage.until("a1 gets work", GOAL * 2, |stage| is_up(stage, "each", 1))?;
    for service in ["beside", "each"] {
        deploy(stage, service, 0)?;
    }
    Ok(format!(
        "told after {}, others up after {}, {} replaced after {}",
        seconds(told),
        seconds(up),
        lost.0.len(),
        seconds(replaced)
    ))
}

/// Whether control says that the machine takes work, or says why not.
fn is_open(stage: &Stage, is_open: bool) -> Result<(), Miss> {
    let nodes = stage.nodes()?;
    let reason = nodes.iter().find(|node| node["name"] == "a1").map(|node| node["reason"].to_string());
    let reason = reason.unwrap_or_default();
    let is_said = reason.contains("it gets no new tasks") && reason.contains("free");
    if is_said == is_open { Err(Miss::new(format!("of a1 is said: {reason}"))) } else { Ok(()) }
}

/// A service that runs beside that of the users; one called `each` has one instance at most on each machine.
fn deploy(stage: &Stage, name: &str, instances: usize) -> Result<(), Miss> {
    let constraints = if name == "each" { json!(["unique:agent"]) } else { json!([]) };
    let body = json!({
        "name": name, "image": "box:1", "command": "exec sleep 1000000", "instances": instances,
        "constraints": constraints, "cpu_millis": 50, "mem_bytes": 16 << 20
    });
    stage.post("/api/v1/deployments", &body).map(drop)
}

/// Whether all instances of a service are up, so many of them on the machine.
fn is_up(stage: &Stage, service: &str, here: usize) -> Result<(), Miss> {
    let all = stage.ask("/api/v1/instances")?.body;
    let ours = || all.as_array().into_iter().flatten().filter(|one| one["service"] == service);
    if let Some(waiting) = ours().find(|one| one["healthy"] != true) {
        return Err(Miss::new(format!("{} is not up: {}", waiting["name"], waiting["reason"])));
    }
    let found = ours().filter(|one| one["agent"] == "a1").count();
    if found == here && ours().next().is_some() {
        return Ok(());
    }
    Err(Miss::new(format!("{found} of {} are on a1", ours().count())))
}
