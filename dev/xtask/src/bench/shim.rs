//! The start of a task through the shim alone, our engine beside a runtime program behind the very same shim.

use std::path::Path;
use std::process::Command;

use anyhow::Context;
use serde_json::Value;

use super::lab::Lab;
use super::process::{output, text};
use super::row::{Better, Goal, Row, Series};
use super::talk;

const ROUNDS: &str = "30";
const CRUN: &str = "/usr/bin/crun";
const RUNC: &str = "/usr/sbin/runc";

/// crun refuses machines on which a controller that could be v1 is left to v2. In a mount namespace of its own the
/// bench mounts them as v1; they fall back to v2 when it is over.
const WITH_V1: &str = "for name in $0; do dir=/sys/fs/cgroup/$name; mkdir -p $dir; \
    mount -t cgroup -o $name cgroup $dir || exit 1; done; exec \"$@\"";

pub(crate) fn run(lab: &Lab) -> anyhow::Result<Vec<Row>> {
    let (kogge, bench) = (lab.kogge()?, lab.example("kogge-shim", "start_bench")?);
    let name = "shim: start through the shim alone";
    let mut refused = String::new();
    for (peer, path) in [("crun", CRUN), ("runc", RUNC)] {
        match measure(&bench, &kogge, path) {
            Ok((ours, theirs)) => {
                let row = Row::new(name, "ms", Better::Lower, ours).beside(peer, theirs);
                return Ok(vec![row.goal(Goal::RatioAtMost(0.8)).note(refused)]);
            }
            Err(error) => {
                refused = format!("{peer} cannot run here: {error:#}");
                talk(&refused);
            }
        }
    }
    anyhow::bail!(refused)
}

fn measure(bench: &Path, kogge: &Path, runtime: &str) -> anyhow::Result<(Series, Series)> {
    let left = left_to_v2();
    let mut command = if runtime == CRUN && !left.is_empty() {
        let mut command = Command::new("unshare");
        command.args(["--mount", "--propagation", "private", "sh", "-c", WITH_V1, &left.join(" ")]);
        command.arg(bench);
        command
    } else {
        Command::new(bench)
    };
    let done = output(command.arg(kogge).args([ROUNDS, "library", runtime]));
    // The mounts are gone with their namespace, the directories are the machine's.
    for controller in &left {
        let _ = std::fs::remove_dir(Path::new("/sys/fs/cgroup").join(controller));
    }
    let text = done?;
    let answer: Value = serde_json::from_str(&text).context("it prints JSON")?;
    let times = |engine: &str| -> Option<Series> {
        answer[engine].as_array()?.iter().map(Value::as_f64).collect::<Option<Series>>()
    };
    times("library").zip(times(runtime)).with_context(|| format!("no times in {answer}"))
}

/// On a machine with both versions, the controllers that are with v2.
fn left_to_v2() -> Vec<String> {
    let controllers = text("/sys/fs/cgroup/unified/cgroup.controllers");
    controllers.split_whitespace().map(str::to_owned).collect()
}
