//! Leaders and machines fail again and again, on the clusters of the campaign, as those see it who write, read and ask.

mod leaders;
mod machines;

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, anyhow};
use kogge_testkit::campaign::{Stage, Trial};
use kogge_testkit::cluster::{Bed, Engine, Plan, Role, words};

use super::lab::Lab;
use super::row::Row;
use super::visits::{Page, Visits};

/// How often each thing happens.
const ROUNDS: usize = 20;
/// How long it may take until everything is as before.
const CALM: Duration = Duration::from_secs(60);
/// Longer than it all takes.
const ALL: Duration = Duration::from_secs(24 * 3_600);
/// Of the dice, which nothing here throws.
const SEED: u64 = 1;

pub(crate) fn run(lab: &Lab) -> anyhow::Result<Vec<Row>> {
    let kogge = lab.kogge()?;
    let mut rows = leaders::run(&kogge, Engine::Etcd, &leaders::ETCD)?;
    rows.extend(leaders::run(&kogge, Engine::ZooKeeper, &leaders::ZOOKEEPER)?);
    rows.extend(machines::run(&kogge)?);
    Ok(rows)
}

/// Three servers and four agents, a service with four instances, users and clients.
fn stage(kogge: &Path, engine: Engine) -> anyhow::Result<Stage> {
    let plan = Plan { engine, agents: 4, ..Plan::new(kogge) };
    let (kogge, other) = (kogge.to_owned(), kogge.to_owned());
    let trial = Trial { kogge, other, engine, seed: SEED, slack: 1, herd: None, logs: None };
    let bed = Bed::for_test()?;
    let mut stage = Stage::set(bed, &plan, &trial).map_err(|(_, miss)| miss)?;
    // What fails is counted here.
    stage.forgive(ALL);
    stage.settle(CALM)?;
    Ok(stage)
}

/// A user of the service, at the router of the last agent.
fn user(stage: &Stage) -> anyhow::Result<Visits> {
    let agents = stage.bed.nodes(Role::Agent);
    let last = agents.last().context("there is no agent")?;
    let door = SocketAddr::from((last.address, words::ROUTER_PORT));
    Ok(Visits::start(Page { network: stage.bed.client(), door, host: "web.localhost", path: "/" }))
}

/// Somebody who reads at a server.
fn reader(stage: &Stage, server: &str) -> anyhow::Result<Visits> {
    let node = stage.bed.node(server)?;
    let url = node.doors.get("api").and_then(|url| url.strip_prefix("http://"));
    let url = url.ok_or_else(|| anyhow!("{server} has no door"))?;
    let door = url.trim_end_matches('/').parse()?;
    Ok(Visits::start(Page { network: node.network(), door, host: "localhost", path: "/api/v1/services/web" }))
}
