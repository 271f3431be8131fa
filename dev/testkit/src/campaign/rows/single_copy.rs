//! A service of which there may be one copy only: whatever becomes of its agent or of the leader, the copy is dead
//! before the next one begins, and each has a higher fencing number.

use std::time::{Duration, Instant};

use serde_json::json;

use super::{Row, linger, seconds};
use crate::campaign::{Miss, Stage};
use crate::cluster::{Fault, ProcessId};

pub(super) const ROW: Row =
    Row { name: "single-copy", promises: "G9", shape: super::as_planned, play, back: super::BACK };

/// Long enough to live through a change of the leader.
const LEASE: Duration = Duration::from_secs(8);
/// Until another copy runs: the lease, two seconds that nobody can be sure of, and a start.
const REPLACED: Duration = Duration::from_secs(16);
/// A clock tick of the kernel, which tells when processes started.
const TICK: Duration = Duration::from_millis(10);

/// A copy that lives.
#[derive(Debug)]
pub(super) struct Living {
    agent: String,
    pub(super) process: ProcessId,
    fence: u64,
}

/// What happens to the machine of a copy.
#[derive(Debug)]
struct Way {
    name: &'static str,
    fault: Fault,
    mend: Fault,
    /// The supervisor of the copy is killed, too.
    is_alone: bool,
}

fn play(stage: &mut Stage) -> Result<String, Miss> {
    // Users' instances lie on the machines that are cut off, too.
    stage.forgive(Duration::from_secs(300));
    let mut old = deploy(stage)?;
    let mut ways = ways();
    stage.dice.shuffle(&mut ways);
    let mut told = Vec::new();
    for way in ways {
        let took = replaced(stage, &old, &way)?;
        stage.fault(&old.agent, &way.mend)?;
        stage.node_is(&old.agent, "ready", super::BACK)?;
        told.push(format!("{}: replaced after {}", way.name, seconds(took)));
        old = stage.until("a copy lives", REPLACED, |stage| living(stage, None))?.0;
    }
    let leader = stage.leader()?;
    stage.fault(&leader, &Fault::Kill { with_tasks: false })?;
    linger(2 * LEASE);
    stage.fault(&leader, &RESTART)?;
    if !old.process.is_alive() {
        return Err(Miss::new("a change of the leader ended the copy"));
    }
    stage.post("/api/v1/deployments", &json!({"name": "ledger", "instances": 0}))?;
    Ok(told.join(", "))
}

const RESTART: Fault = Fault::Restart { program: None };

fn ways() -> [Way; 4] {
    let (cut, killed) = (Fault::Cut { direction: None, peer: None }, Fault::Kill { with_tasks: false });
    let paused = Fault::Pause { with_tasks: false };
    let way = |name, fault, mend, is_alone| Way { name, fault, mend, is_alone };
    [
        way("cut off", cut, Fault::Heal, false),
        way("agent killed", killed.clone(), RESTART, false),
        way("agent and supervisor killed", killed, RESTART, true),
        way("agent stood still", paused, Fault::Resume, false),
    ]
}

/// Brings the service up; gives its copy.
pub(super) fn deploy(stage: &Stage) -> Result<Living, Miss> {
    let ledger = json!({
        "name": "ledger", "image": "box:1", "command": "exec sleep 1000000", "instances": 1, "single": true,
        "lease_ms": u64::try_from(LEASE.as_millis()).expect("it is short"), "kill_grace_ms": 1_000,
        "cpu_millis": 50, "mem_bytes": 16 << 20
    });
    stage.post("/api/v1/deployments", &ledger)?;
    Ok(stage.until("a copy lives", REPLACED, |stage| living(stage, None))?.0)
}

/// Lets it happen to the agent of `old`, and waits for another copy.
fn replaced(stage: &mut Stage, old: &Living, way: &Way) -> Result<Duration, Miss> {
    let begin = stage.fault(&old.agent, &way.fault)?;
    let process = old.process;
    if way.is_alone {
        let shim = process.parent().and_then(ProcessId::of).filter(|shim| shim.pid > 1);
        let shim = shim.ok_or_else(|| Miss::new("nobody supervises the copy"))?;
        shim.signal(nix::sys::signal::Signal::SIGKILL)?;
    }
    let watch = std::thread::spawn(move || {
        let deadline = Instant::now() + REPLACED;
        while process.is_alive() && Instant::now() < deadline {
            std::thread::sleep(TICK / 5);
        }
        (begin.elapsed(), uptime())
    });
    let found = stage.until("another copy lives", REPLACED, |stage| living(stage, Some(old)));
    let (lived, dead_at) = watch.join().map_err(|_| Miss::new("nobody watched the copy"))?;
    let (new, took) = found?;
    if lived > LEASE + TICK {
        return Err(Miss::new(format!("the copy on {} lived on for {}", old.agent, seconds(lived))));
    }
    let began_at = TICK * u32::try_from(new.process.started).map_err(|_| Miss::new("an old machine"))?;
    if began_at + 2 * TICK < dead_at {
        return Err(Miss::new(format!("{new:?} began {:?} before {old:?} was dead", dead_at - began_at)));
    }
    if new.fence <= old.fence {
        return Err(Miss::new(format!("{new:?} has no higher fence than {old:?}")));
    }
    Ok(took)
}

/// The copy that is told to live, and does.
fn living(stage: &Stage, but: Option<&Living>) -> Result<Living, Miss> {
    let all = stage.ask("/api/v1/instances")?.body;
    let mut ours = all.as_array().into_iter().flatten().filter(|one| one["service"] == "ledger");
    let one = ours.next().ok_or_else(|| Miss::new("there is no instance"))?;
    let pid = one["pid"].as_u64().and_then(|pid| u32::try_from(pid).ok());
    let process = pid.and_then(ProcessId::of).filter(ProcessId::is_alive);
    let process = process.filter(|process| but.is_none_or(|old| old.process != *process));
    let process = process.ok_or_else(|| Miss::new(format!("it has no process: {one}")))?;
    let environment = std::fs::read(format!("/proc/{}/environ", process.pid)).unwrap_or_default();
    let mut variables =
        environment.split(|byte| *byte == 0).filter_map(|line| std::str::from_utf8(line).ok());
    let fence = variables.find_map(|line| line.strip_prefix("KOGGE_FENCE=")?.parse().ok());
    let fence = fence.ok_or_else(|| Miss::new("it was given no fencing number"))?;
    Ok(Living { agent: one["agent"].as_str().unwrap_or_default().to_owned(), process, fence })
}

/// Since the machine's start, as the kernel tells starts of processes.
fn uptime() -> Duration {
    let text = std::fs::read_to_string("/proc/uptime").unwrap_or_default();
    let seconds = text.split(' ').next().and_then(|word| word.parse().ok());
    Duration::from_secs_f64(seconds.unwrap_or_default())
}
