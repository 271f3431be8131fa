//! What became of rows: a line each for people, a list for programs.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context;
use kogge_testkit::campaign::{Report, Row, Trial};
use kogge_testkit::cluster::Engine;
use serde_json::{Value, json};

use crate::program::talk;

/// A row that was played.
pub(super) struct Played {
    row: &'static str,
    promises: &'static str,
    engine: &'static str,
    seed: u64,
    took: Duration,
    pub(super) report: Report,
}

impl Played {
    /// Plays it and tells how it went.
    pub(super) fn by(row: &Row, trial: &Trial) -> Self {
        let begin = Instant::now();
        let report = row.run(trial);
        let engine = match trial.engine {
            Engine::Etcd => "etcd",
            Engine::ZooKeeper => "zookeeper",
        };
        let played = Self {
            row: row.name,
            promises: row.promises,
            engine,
            seed: trial.seed,
            took: begin.elapsed(),
            report,
        };
        talk(&played.line());
        if !played.report.passes {
            talk(&format!("    again: {}", played.again()));
        }
        played
    }

    fn line(&self) -> String {
        let verdict = if self.report.passes { "pass" } else { "FAIL" };
        let told = self.report.why.as_ref().unwrap_or(&self.report.figure);
        format!(
            "{verdict}  {:<24} {:<9} {:>4} {:>5.0}s  {told}",
            self.row,
            self.engine,
            self.seed,
            self.took.as_secs_f64()
        )
    }

    /// The line that plays it again.
    fn again(&self) -> String {
        format!("make campaign ONLY={} STATE={} FROM={} SEEDS=1", self.row, self.engine, self.seed)
    }

    fn to_json(&self) -> Value {
        let report = &self.report;
        json!({
            "row": self.row, "promises": self.promises, "engine": self.engine, "seed": self.seed,
            "pass": report.passes, "figure": report.figure, "why": report.why
        })
    }
}

/// Above the lines.
pub(super) fn head() {
    talk(&format!(
        "{:<5} {:<24} {:<9} {:>4} {:>6}  measured, or why it does not pass",
        "", "row", "engine", "seed", "took"
    ));
}

/// Writes the list.
pub(super) fn write(file: &Path, played: &[Played]) -> anyhow::Result<()> {
    let list = Value::Array(played.iter().map(Played::to_json).collect());
    std::fs::write(file, serde_json::to_vec_pretty(&list)?)
        .with_context(|| format!("cannot write {}", file.display()))
}
