//! From a deployment to the agents: how many instances a second, and how long each of them waits.
//!
//! An instance is assigned when its agent has been told to launch it, which comes after that is saved by a majority
//! of the engine's members. Agents, servers and engine share the machine.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, ensure};

use super::fleet::{Fleet, Wanted, tell};
use super::lab::Lab;
use super::row::{Better, Goal, Row, Series};
use super::talk;

const AGENTS: usize = 200;
/// At once, for the number a second.
const FLOOD: [usize; 2] = [50, 100];
const FLOODS: [&str; 3] = ["one", "two", "three"];
/// At a thousand a second, for the time that each of them takes.
const STEADY: [usize; 2] = [200, 50];
const STEADY_EVERY: Duration = Duration::from_millis(50);
/// Until what came before is done: each number begins with a cloud at rest.
const SETTLING: Duration = Duration::from_secs(5);
const PATIENCE: Duration = Duration::from_secs(120);

pub(crate) fn run(lab: &Lab) -> anyhow::Result<Vec<Row>> {
    let fleet = Fleet::start(lab, "assigning")?;
    let mut herd = fleet.herd(AGENTS, PATIENCE)?;
    let (mut rates, mut expected) = (Series::default(), 0);
    for prefix in FLOODS {
        std::thread::sleep(SETTLING);
        let [services, instances] = FLOOD;
        let asked = fleet.load(&Wanted { prefix, services, instances, every: Duration::ZERO })?;
        expected += services * instances;
        herd.wait("all instances to run", PATIENCE, tell, |tally| tally.running == expected)?;
        let first = asked.iter().map(|asked| asked.answered_us).min().context("nothing was asked")?;
        let launches = herd.launches()?;
        let launched =
            launches.iter().filter(|launch| launch.service.starts_with(prefix)).map(|one| one.at_us);
        let last = launched.max().context("nothing was launched")?;
        let rate = (services * instances) as f64 / (last.saturating_sub(first) as f64 / 1e6);
        talk(&format!("bench: {rate:.0} instances a second"));
        rates.push(rate);
    }
    std::thread::sleep(SETTLING);
    let [services, instances] = STEADY;
    let asked = fleet.load(&Wanted { prefix: "steady", services, instances, every: STEADY_EVERY })?;
    expected += services * instances;
    herd.wait("all instances to run", PATIENCE, tell, |tally| tally.running == expected)?;
    let due: BTreeMap<&str, (u64, u64)> = asked
        .iter()
        .map(|asked| (asked.service.trim_start_matches('/'), (asked.due_us, asked.answered_us)))
        .collect();
    let (mut since_due, mut since_answer) = (Vec::new(), Vec::new());
    for launch in herd.launches()? {
        if let Some((due, answered)) = due.get(launch.service.as_str()) {
            since_due.push(launch.at_us.saturating_sub(*due) as f64 / 1e3);
            since_answer.push(launch.at_us.saturating_sub(*answered) as f64 / 1e3);
        }
    }
    ensure!(since_due.len() == services * instances, "{} launches were seen", since_due.len());
    let one = |value: f64| -> Series { [value].into_iter().collect() };
    let row = |name, values: &mut Vec<f64>| Row::new(name, "ms", Better::Lower, one(quantile(values, 0.99)));
    Ok(vec![
        Row::new("assigning: 5,000 instances, 3 servers on etcd", "1/s", Better::Higher, rates)
            .goal(Goal::AtLeast(5_000.0)),
        row("assigning: p99 after the answer, at 1,000/s", &mut since_answer).goal(Goal::AtMost(100.0)),
        row("assigning: p99 after the request was due", &mut since_due),
    ])
}

fn quantile(values: &mut [f64], part: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    let below = values.iter().enumerate().take_while(|(at, _)| (*at as f64) < part * values.len() as f64);
    below.last().map_or(f64::NAN, |(_, value)| *value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantile_leaves_its_part_below_or_at_it() {
        let mut values: Vec<f64> = (1..=100).rev().map(f64::from).collect();
        assert!((quantile(&mut values, 0.99) - 99.0).abs() < 1e-9);
        assert!((quantile(&mut values, 0.5) - 50.0).abs() < 1e-9);
        assert!(quantile(&mut [], 0.5).is_nan());
    }
}
