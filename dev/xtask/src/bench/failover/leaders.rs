//! The lead is handed over, and leaders are killed.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::ensure;
use kogge_testkit::campaign::Stage;
use kogge_testkit::cluster::{Engine, Fault, Role};
use serde_json::json;

use super::{CALM, ROUNDS, reader, stage, user};
use crate::bench::row::{Better, Goal, Row, Series};
use crate::bench::visits::{Visit, Visits};

/// Longer than any lead takes to pass.
const LONGEST: Duration = Duration::from_secs(10);

/// What the rows of one engine are called.
pub(super) struct Names {
    over: &'static str,
    killed: &'static str,
    slowest: &'static str,
    unread: &'static str,
    failed: &'static str,
}

pub(super) const ETCD: Names = Names {
    over: "failover: handed over → first write, etcd",
    killed: "failover: leader killed → first write, etcd",
    slowest: "failover: slowest read at other servers, etcd",
    unread: "failover: reads that failed there, etcd",
    failed: "failover: requests of users that failed, etcd",
};

pub(super) const ZOOKEEPER: Names = Names {
    over: "failover: handed over → first write, ZooKeeper",
    killed: "failover: leader killed → first write, ZooKeeper",
    slowest: "failover: slowest read at other servers, ZooKeeper",
    unread: "failover: reads that failed there, ZooKeeper",
    failed: "failover: requests of users that failed, ZooKeeper",
};

#[derive(Default)]
struct Seen {
    over: Series,
    killed: Series,
    slowest: Series,
    unread: usize,
}

pub(super) fn run(kogge: &Path, engine: Engine, names: &Names) -> anyhow::Result<Vec<Row>> {
    let mut stage = stage(kogge, engine)?;
    let (begin, user) = (Instant::now(), user(&stage)?);
    let mut seen = Seen::default();
    for _ in 0..ROUNDS {
        seen.over.push(hand_over(&stage)?.as_secs_f64());
        stage.settle(CALM)?;
        kill(&mut stage, &mut seen)?;
        stage.settle(CALM)?;
    }
    let asked = user.since(begin);
    drop(user);
    stage.end()?;
    let count = |number: usize| [number].into_iter().map(|number| number as f64).collect::<Series>();
    let failed = asked.iter().filter(|visit| !visit.is_good).count();
    let row = |name, unit, series| Row::new(name, unit, Better::Lower, series);
    Ok(vec![
        row(names.over, "s", seen.over).goal(Goal::AtMost(0.1)),
        row(names.killed, "s", seen.killed).goal(Goal::AtMost(2.0)),
        row(names.slowest, "s", seen.slowest),
        row(names.unread, "reads", count(seen.unread)).goal(Goal::AtMost(0.0)),
        row(names.failed, "requests", count(failed))
            .goal(Goal::AtMost(0.0))
            .note(format!("of {}", asked.len())),
    ])
}

fn hand_over(stage: &Stage) -> anyhow::Result<Duration> {
    let leader = stage.leader()?;
    let asked = Instant::now();
    let answer = stage.ask_at(&leader, "/api/v1/leader/step-down", Some(&json!({})))?;
    ensure!(answer.status == 204, "{leader} does not step down: {}", answer.detail());
    Ok(stage.first_write(asked, LONGEST)?)
}

fn kill(stage: &mut Stage, seen: &mut Seen) -> anyhow::Result<()> {
    let leader = stage.leader()?;
    let others = stage.names(Role::Server).into_iter().filter(|name| *name != leader);
    let readers = others.map(|name| Ok((name.clone(), reader(stage, &name)?)));
    let readers = readers.collect::<anyhow::Result<BTreeMap<String, Visits>>>()?;
    let died = stage.fault(&leader, &Fault::Kill { with_tasks: false })?;
    seen.killed.push(stage.first_write(died, LONGEST)?.as_secs_f64());
    let reads: Vec<Visit> = readers.values().flat_map(|reader| reader.since(died)).collect();
    drop(readers);
    seen.unread += reads.iter().filter(|read| !read.is_good).count();
    let slowest = reads.iter().map(|read| read.took).max();
    seen.slowest.push(slowest.unwrap_or_default().as_secs_f64());
    stage.fault(&leader, &Fault::Restart { program: None })?;
    Ok(())
}
