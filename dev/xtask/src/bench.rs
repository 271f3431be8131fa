//! `cargo xtask bench`: the numbers of the house, each with its peer in the same run.
//!
//! A benchmark is a file: a function from the lab to rows. Peers are started here, with their own data and sockets,
//! and ended. Machines steal time: medians are judged, the worst is told.

mod agent;
mod assigning;
mod control;
mod day;
mod failover;
mod fleet;
mod herd;
mod idle;
mod lab;
mod load;
mod outside;
mod peers;
mod placing;
mod process;
mod router;
mod routes;
mod row;
mod shim;
mod start;
mod store;
mod visits;
mod wrk;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;

use anyhow::{Context, anyhow, bail};
use clap::builder::PossibleValuesParser;
use serde_json::Value;

use crate::tidy::root;
use lab::Lab;
use row::{Row, table};

type Benchmark = fn(&Lab) -> anyhow::Result<Vec<Row>>;

const BENCHMARKS: &[(&str, Benchmark)] = &[
    ("placing", placing::run),
    ("day", day::run),
    ("store", store::run),
    ("shim", shim::run),
    ("start", start::run),
    ("control", control::run),
    ("router", router::run),
    ("routes", routes::run),
    ("idle", idle::run),
    ("agent", agent::run),
    ("assigning", assigning::run),
    ("failover", failover::run),
    ("herd", herd::run),
];

/// Arguments of `cargo xtask bench`.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Run one of them
    #[arg(long, value_name = "NAME", value_parser = PossibleValuesParser::new(BENCHMARKS.iter().map(|(name, _)| *name)))]
    only: Option<String>,
    /// Measure this program instead of building one
    #[arg(long, value_name = "PROGRAM")]
    kogge: Option<PathBuf>,
    /// Use these simulated agents instead of building them
    #[arg(long, value_name = "PROGRAM")]
    herd: Option<PathBuf>,
    /// Cargo's profile for what is built
    #[arg(long, default_value = "shipped")]
    profile: String,
    /// Simulated agents of the herd
    #[arg(long, value_name = "COUNT", default_value_t = 10_000)]
    agents: usize,
    /// Instances on them, in all
    #[arg(long, value_name = "COUNT", default_value_t = 100_000)]
    instances: usize,
}

/// Runs them, prints the table, writes `target/bench.json`. Fails when one could not be run, not when a goal is missed.
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let lab = Lab::open(&root(), &arguments.profile, arguments.kogge.clone())?;
    let lab = lab.with_herd(arguments.herd.clone(), (arguments.agents, arguments.instances));
    let (mut rows, mut failed) = (Vec::new(), Vec::new());
    for (name, benchmark) in BENCHMARKS {
        if arguments.only.as_deref().is_some_and(|only| only != *name) {
            continue;
        }
        talk(&format!("bench: {name}"));
        // The harness of tests panics; the other benchmarks are still worth running.
        let done = catch_unwind(AssertUnwindSafe(|| benchmark(&lab)));
        match done.unwrap_or_else(|_| Err(anyhow!("it panicked, see above"))) {
            Ok(more) => rows.extend(more),
            Err(error) => {
                talk(&format!("bench: {name} could not be run: {error:#}"));
                failed.push(*name);
            }
        }
    }
    let list = Value::Array(rows.iter().map(Row::to_json).collect());
    let path = root().join("target/bench.json");
    std::fs::write(&path, serde_json::to_vec_pretty(&list)?)
        .with_context(|| format!("cannot write {}", path.display()))?;
    say(&table(&rows));
    let judged: Vec<&Row> = rows.iter().filter(|row| row.is_judged()).collect();
    let met = judged.iter().filter(|row| row.passes() == Some(true)).count();
    talk(&format!("bench: {met} of {} goals met; {}", judged.len(), path.display()));
    if failed.is_empty() { Ok(()) } else { bail!("could not be run: {}", failed.join(", ")) }
}

#[expect(clippy::print_stdout, reason = "the table is what this program is asked for")]
fn say(text: &str) {
    println!("{text}");
}

/// What goes on meanwhile.
#[expect(clippy::print_stderr, reason = "a benchmark takes minutes: people want to see how far it is")]
fn talk(text: &str) {
    eprintln!("{text}");
}
