//! Machines die: their connections are refused, or nothing comes from there any more.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use kogge_testkit::campaign::{Miss, Stage, WISH};
use kogge_testkit::cluster::{Engine, Fault, Role};

use super::{CALM, ROUNDS, stage, user};
use crate::bench::row::{Better, Goal, Row, Series};
use crate::bench::visits::{Visit, Visits};

/// A visit that takes longer has met an endpoint that is not there.
const SLOW: Duration = Duration::from_millis(200);
/// When a user is surely not hindered any more.
const LONGEST: Duration = Duration::from_secs(8);

#[derive(Default)]
struct Seen {
    replaced: Series,
    hindered: Series,
    failed: Series,
}

pub(super) fn run(kogge: &Path) -> anyhow::Result<Vec<Row>> {
    let mut stage = stage(kogge, Engine::Etcd)?;
    let user = user(&stage)?;
    let (mut refused, mut silent) = (Seen::default(), Seen::default());
    for _ in 0..ROUNDS {
        lose(&mut stage, &user, &mut refused, false)?;
        lose(&mut stage, &user, &mut silent, true)?;
    }
    drop(user);
    stage.end()?;
    let row = |name, unit, series| Row::new(name, unit, Better::Lower, series);
    Ok(vec![
        row("failover: agent killed with its tasks → replaced", "s", refused.replaced)
            .goal(Goal::AtMost(6.0)),
        row("failover: … → users meet no dead endpoint", "s", refused.hindered).goal(Goal::AtMost(1.5)),
        row("failover: … requests of users that failed", "requests", refused.failed),
        row("failover: machine silent → replaced", "s", silent.replaced).goal(Goal::AtMost(6.0)),
        row("failover: silent → users meet no dead endpoint", "s", silent.hindered).goal(Goal::AtMost(5.0)),
        row("failover: silent: requests of users that failed", "requests", silent.failed),
    ])
}

/// One machine of those that have instances and through which no user comes.
fn lose(stage: &mut Stage, user: &Visits, seen: &mut Seen, is_silent: bool) -> anyhow::Result<()> {
    let agent = victim(stage)?;
    let killed = Fault::Kill { with_tasks: true };
    let died = Instant::now();
    stage.fault(&agent, if is_silent { &Fault::Cut { direction: None, peer: None } } else { &killed })?;
    let replaced = stage.until("instances elsewhere", CALM, |stage| {
        let healthy = |one: &&serde_json::Value| one["healthy"] == true && one["agent"] != agent.as_str();
        let count = stage.instances()?.iter().filter(healthy).count();
        if count >= WISH { Ok(died.elapsed()) } else { Err(Miss::new("not all")) }
    });
    seen.replaced.push(replaced?.0.as_secs_f64());
    std::thread::sleep(LONGEST.saturating_sub(died.elapsed()));
    if is_silent {
        stage.fault(&agent, &killed)?;
        stage.fault(&agent, &Fault::Heal)?;
    }
    stage.fault(&agent, &Fault::Restart { program: None })?;
    stage.settle(CALM)?;
    // By now every visit of that time has ended.
    let visits = user.since(died).into_iter().filter(|visit| visit.asked < died + LONGEST);
    let hindered: Vec<Visit> = visits.filter(|visit| !visit.is_good || visit.took > SLOW).collect();
    let last = hindered.iter().map(|visit| (visit.asked + visit.took).saturating_duration_since(died)).max();
    seen.hindered.push(last.unwrap_or_default().as_secs_f64());
    seen.failed.push(hindered.iter().filter(|visit| !visit.is_good).count() as f64);
    Ok(())
}

fn victim(stage: &Stage) -> anyhow::Result<String> {
    let agents = stage.names(Role::Agent);
    let (_, others) = agents.split_last().context("there is no agent")?;
    let tasks = stage.tasks()?;
    let most =
        others.iter().max_by_key(|agent| tasks.on(agent).0.len()).context("there is one agent only")?;
    ensure!(!tasks.on(most).0.is_empty(), "all instances are on one machine");
    Ok(most.clone())
}
