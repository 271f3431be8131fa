//! The leader reaches the engine, and nobody else reaches it: first nobody at all, then no agent. Its lease goes on, so
//! that it must give way by itself.

use std::time::{Duration, Instant};

use super::{Row, seconds};
use crate::campaign::{Miss, Stage};
use crate::cluster::{Fault, Role};

pub(super) const ROW: Row = Row {
    name: "leader-unheard",
    promises: "G1 G7 G8 G11 G27",
    shape: super::as_planned,
    play,
    back: super::BACK,
};

/// Until another one leads, with nobody at all: the others see that it is silent, and it that agents are.
const GOAL: Duration = Duration::from_secs(8);
/// Until another one leads, with no agent: they give their links up first.
const AGENTS: Duration = Duration::from_secs(20);

fn play(stage: &mut Stage) -> Result<String, Miss> {
    let (leader, tasks) = (stage.leader()?, stage.tasks()?);
    let mut peers = stage.names(Role::Agent);
    let servers = stage.names(Role::Server).into_iter().filter(|name| *name != leader);
    peers.extend(servers.chain(["client".to_owned()]));
    let all = cut(stage, &leader, &peers)?;
    let nobody = replaced(stage, &leader, all, GOAL)?;
    stage.first_write(Instant::now(), super::BACK)?;
    ready(stage, &leader)?;
    stage.untouched(&tasks)?;
    stage.fault(&leader, &Fault::Heal)?;
    stage.settle(super::BACK)?;

    // Another one, which has not given way yet.
    let leader = stage.leader()?;
    let agents = cut(stage, &leader, &stage.names(Role::Agent))?;
    let no_agent = replaced(stage, &leader, agents, AGENTS)?;
    ready(stage, &leader)?;
    stage.untouched(&tasks)?;
    stage.fault(&leader, &Fault::Heal)?;
    Ok(format!(
        "another one leads after {} without anybody, after {} without agents",
        seconds(nobody),
        seconds(no_agent)
    ))
}

fn cut(stage: &mut Stage, leader: &str, peers: &[String]) -> Result<Instant, Miss> {
    for peer in peers {
        stage.fault(leader, &Fault::Cut { direction: None, peer: Some(peer.clone()) })?;
    }
    Ok(Instant::now())
}

/// Waits until the other servers say that one of them leads.
pub(super) fn replaced(
    stage: &Stage,
    cut_off: &str,
    since: Instant,
    limit: Duration,
) -> Result<Duration, Miss> {
    stage.until("another one leads", limit, |stage| {
        let nodes = stage.ask_but(cut_off, "/api/v1/nodes")?.body;
        let leads = |node: &&serde_json::Value| node["leader"] == true && node["name"] != cut_off;
        let found = nodes.as_array().into_iter().flatten().find(leads);
        found.map(drop).ok_or_else(|| Miss::new(format!("{cut_off} leads")))
    })?;
    Ok(since.elapsed())
}

/// Waits until all agents have come to another leader.
pub(super) fn ready(stage: &Stage, cut_off: &str) -> Result<(), Miss> {
    stage
        .until("all agents are ready", super::BACK * 2, |stage| {
            let nodes = stage.ask_but(cut_off, "/api/v1/nodes")?.body;
            let waits = nodes.as_array().into_iter().flatten().find(|node| node["state"] != "ready");
            waits.map_or(Ok(()), |node| Err(Miss::new(format!("{} is {}", node["name"], node["reason"]))))
        })
        .map(drop)
}
