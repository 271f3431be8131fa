//! Durable writes through the store's trait, beside etcd on the same disk.
//!
//! The store runs in its clients' process, so their work counts as its own; of etcd only the server counts.

use std::process::Command;
use std::time::Duration;

use anyhow::Context;
use serde_json::Value;

use super::lab::Lab;
use super::peers::etcd::Etcd;
use super::process::output;
use super::row::{Better, Goal, Row, Series};

const ROUNDS: usize = 3;
const TIME: Duration = Duration::from_secs(4);
const PEER: &str = "etcd";

/// Writes per second, and per second of processor time.
#[derive(Default)]
struct Rates {
    per_second: Series,
    per_cpu: Series,
}

pub(crate) fn run(lab: &Lab) -> anyhow::Result<Vec<Row>> {
    let bench = lab.example("kogge-store", "store_bench")?;
    let etcd = Etcd::start(&lab.scratch().join("etcd"))?;
    let mut rows = Vec::new();
    for (clients, rate, cost) in [
        (1, "store: durable writes, 1 client", "store: the same per CPU-second, 1 client"),
        (64, "store: durable writes, 64 clients", "store: the same per CPU-second, 64 clients"),
    ] {
        let (mut ours, mut theirs) = (Rates::default(), Rates::default());
        for round in 0..ROUNDS {
            let directory = lab.scratch().join(format!("store-{clients}-{round}"));
            let mut command = Command::new(&bench);
            command.arg(&directory).arg(clients.to_string()).arg(TIME.as_secs().to_string());
            let answer: Value = serde_json::from_str(&output(&mut command)?).context("it prints JSON")?;
            let number = |key: &str| answer[key].as_f64().with_context(|| format!("no {key} in {answer}"));
            ours.per_second.push(number("writes_per_s")?);
            ours.per_cpu.push(number("writes_per_cpu_s")?);
            let seen = etcd.load(clients, TIME)?;
            theirs.per_second.push(seen.per_second);
            theirs.per_cpu.push(seen.per_cpu);
        }
        for (name, unit, ours, theirs) in [
            (rate, "1/s", ours.per_second, theirs.per_second),
            (cost, "1/CPU-s", ours.per_cpu, theirs.per_cpu),
        ] {
            let row = Row::new(name, unit, Better::Higher, ours).beside(PEER, theirs);
            rows.push(row.goal(Goal::RatioAtLeast(2.0)));
        }
    }
    Ok(rows)
}
