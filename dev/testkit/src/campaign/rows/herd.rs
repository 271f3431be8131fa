//! Thousands of agents lose their leader at once: all of them find the next one, and none is given up.

use std::time::{Duration, Instant};

use serde_json::Value;

use super::{Row, linger, seconds, takeover};
use crate::campaign::{Miss, Stage};
use crate::cluster::{Fault, Plan};
use crate::herd::{HerdError, Tally};

pub(super) const ROW: Row = Row { name: "herd", promises: "G1 G5 G8 G27", shape, play, back: super::BACK };

const AGENTS: usize = 10_000;
/// Until all have joined, and know ways to the servers that do not lead.
const JOINED: Duration = Duration::from_secs(400);
/// Between two questions of a user, and two operations of a client.
const PAUSE: Duration = Duration::from_millis(250);
/// Until a write is acknowledged after the leader has died.
const WRITTEN: Duration = Duration::from_secs(2);
/// Until all agents are registered again, on a machine that they share with everything else.
const REGISTERED: Duration = Duration::from_secs(30);
/// An agent that is silent for longer is given up.
const SILENCE: Duration = Duration::from_secs(6);

/// The machines that run something, and no more.
fn shape(plan: &mut Plan) {
    plan.agents = 2;
}

fn play(stage: &mut Stage) -> Result<String, Miss> {
    stage.calm(PAUSE);
    gather(stage)?;
    let (leader, tasks) = (stage.leader()?, stage.tasks()?);
    given_up(stage)?;
    let term = tally(stage)?.term;
    let died = stage.fault(&leader, &Fault::Kill { with_tasks: false })?;
    let written = stage.first_write(died, takeover(stage, WRITTEN))?;
    let limit = takeover(stage, REGISTERED) * stage.slack;
    wait(stage, "all agents to be registered again", limit, |tally| {
        tally.term > term && tally.registered == AGENTS
    })?;
    let registered = died.elapsed();
    // Whoever is not heard shows by then.
    linger(SILENCE);
    given_up(stage)?;
    stage.fault(&leader, &Fault::Restart { program: None })?;
    stage.untouched(&tasks)?;
    let (written, registered) = (seconds(written), seconds(registered));
    Ok(format!("first write after {written}, all of {AGENTS} agents registered after {registered}"))
}

/// Until they are there and each has a way to each of the other servers, nearly.
fn gather(stage: &mut Stage) -> Result<(), Miss> {
    let begun = Instant::now();
    stage.herd(AGENTS)?;
    let limit = JOINED * stage.slack;
    wait(stage, "all agents to be registered", limit, |tally| tally.registered == AGENTS)?;
    let left = limit.saturating_sub(begun.elapsed());
    wait(stage, "ways to the other servers", left, |tally| tally.spares >= 2 * AGENTS / 100 * 99)
}

/// That none of them is, as the leader sees it.
fn given_up(stage: &Stage) -> Result<(), Miss> {
    const PATIENCE: Duration = Duration::from_secs(10);
    let (all, _) = stage.until("the agents are listed", PATIENCE, |stage| {
        let all = stage.ask_for("/api/v1/nodes", PATIENCE)?;
        Ok(all.body.as_array().cloned().unwrap_or_default())
    })?;
    let lost: Vec<&Value> = all.iter().filter(|node| node["state"] == "lost").collect();
    match lost.first() {
        None if all.len() > AGENTS => Ok(()),
        None => Err(Miss::new(format!("only {} servers and agents are listed", all.len()))),
        Some(first) => Err(Miss::new(format!(
            "{} of {AGENTS} agents are given up although they live, the first is {}: {}",
            lost.len(),
            first["name"],
            first["reason"]
        ))),
    }
}

fn tally(stage: &Stage) -> Result<Tally, Miss> {
    stage.herd.as_ref().map(crate::herd::Herd::tally).ok_or_else(|| Miss::new("there is no herd"))
}

fn wait(stage: &mut Stage, what: &str, limit: Duration, is_so: impl Fn(&Tally) -> bool) -> Result<(), Miss> {
    let herd = stage.herd.as_mut().ok_or_else(|| Miss::new("there is no herd"))?;
    let waited = herd.wait(what, limit, |_| {}, is_so);
    waited.map(drop).map_err(|error: HerdError| Miss::new(error.to_string()))
}
