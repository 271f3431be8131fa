//! A simulated day of many agents whose links lose one packet in twenty: whoever is given up was given up wrongly.

use std::process::Command;

use anyhow::Context;
use serde_json::Value;

use super::lab::Lab;
use super::process::output;
use super::row::{Better, Goal, Row};

const HOURS: u64 = 24;
/// Each agent fares like every other: ten times as many (`kogge-sim --day`) take ten times as long.
const AGENTS: u32 = 1_000;
const INSTANCES: u32 = 10_000;
const LOST_PERMILLE: u64 = 50;

pub(crate) fn run(lab: &Lab) -> anyhow::Result<Vec<Row>> {
    let mut command = Command::new(lab.simulator()?);
    command.arg("--day").args(["--hours", &HOURS.to_string(), "--lost", &LOST_PERMILLE.to_string()]);
    command.args(["--agents", &AGENTS.to_string(), "--instances", &INSTANCES.to_string()]);
    let text = output(&mut command)?;
    let day: Value = serde_json::from_str(&text).context("the simulator prints JSON")?;
    let note =
        format!("{AGENTS} agents, {INSTANCES} instances, {HOURS} simulated hours, 5 % of packets lost");
    let row = |name, unit, field: &str| -> anyhow::Result<Row> {
        let value = day[field].as_f64().with_context(|| format!("the simulator tells no {field}"))?;
        Ok(Row::new(name, unit, Better::Lower, [value].into_iter().collect()).note(note.clone()))
    };
    Ok(vec![
        row("day: agents given up wrongly", "agents", "given_up")?.goal(Goal::AtMost(0.0)),
        row("day: agents that got nothing new for a while", "agents", "suspected")?,
        row("day: longest silence of an agent", "s", "longest_silence_s")?,
    ])
}
