//! How many tasks are placed in a second of processor time: the simulator's own measure, several times.

use std::process::Command;

use anyhow::{Context, ensure};
use serde_json::Value;

use super::lab::Lab;
use super::process::output;
use super::row::{Better, Goal, Row, Series};

const ROUNDS: usize = 3;

pub(crate) fn run(lab: &Lab) -> anyhow::Result<Vec<Row>> {
    let simulator = lab.simulator()?;
    let mut rates = Series::default();
    for _ in 0..ROUNDS {
        let text = output(Command::new(&simulator).arg("--placing"))?;
        let answer: Value = serde_json::from_str(&text).context("the simulator prints JSON")?;
        ensure!(answer["is_right"] == true, "not every task was placed as its constraint asks: {answer}");
        rates.push(answer["placements_per_cpu_s"].as_f64().context("the simulator tells its rate")?);
    }
    let row = Row::new("placing: 50,000 tasks on 5,000 agents", "1/CPU-s", Better::Higher, rates);
    Ok(vec![row.goal(Goal::AtLeast(50_000.0))])
}
