//! How soon the control loop has what is wanted again: after a crash, and when a service is replaced.

use std::time::Instant;

use anyhow::Context;
use nix::sys::signal::{Signal, kill};
use serde_json::Value;

use super::lab::Lab;
use super::process::as_pid;
use super::row::{Better, Goal, Row, Series};
use super::start::Starter;

const CRASHES: usize = 12;
const REPLACEMENTS: usize = 7;

pub(crate) fn run(lab: &Lab) -> anyhow::Result<Vec<Row>> {
    let starter = Starter::open(lab)?;
    let rows = vec![crash(&starter)?, replace(&starter)?];
    let Starter { cloud, outside, .. } = starter;
    cloud.down();
    drop(outside);
    Ok(rows)
}

/// Each crash is the first one of a service of its own. The back-off that was drawn (jitter included) is in the
/// history of decisions, and is taken off.
fn crash(starter: &Starter) -> anyhow::Result<Row> {
    let mut times = Series::default();
    for round in 0..CRASHES {
        let name = format!("crash{round}");
        starter.cloud.ok(&starter.deploy(&name, "0.5", &[]));
        let (_, held) = starter.outside.arrivals(1)?;
        let pid = starter.cloud.instances(&name).first().and_then(|instance| instance["pid"].as_u64());
        let pid = u32::try_from(pid.context("a running instance has a pid")?)?;
        let killed = Instant::now();
        kill(as_pid(pid), Signal::SIGKILL)?;
        let (back, again) = starter.outside.arrivals(1)?;
        let why = starter.cloud.json(&["why", &name]);
        let back_off = drawn_back_off(&why).with_context(|| format!("no back-off in {why}"))?;
        times.push(back.duration_since(killed).as_secs_f64() * 1000.0 - back_off);
        starter.cloud.ok(&["destroy", "--yes", &name]);
        drop((held, again));
        starter.is_empty()?;
    }
    let row = Row::new("control: kill -9 → running, less back-off", "ms", Better::Lower, times);
    Ok(row.goal(Goal::AtMost(100.0)))
}

/// The back-off that was drawn, in milliseconds, out of the history of decisions.
fn drawn_back_off(answer: &Value) -> Option<f64> {
    let history = answer["history"].as_array()?;
    let restart = history.iter().find(|decision| decision["verb"] == "restart")?;
    let rest = restart["reason"].as_str()?.split_once("starts again in ")?.1;
    rest.split_once(" ms")?.0.parse().ok()
}

/// Three instances, one at a time, none of them missing meanwhile, each healthy as soon as its port answers. From the
/// request to the end of the deployment.
fn replace(starter: &Starter) -> anyhow::Result<Row> {
    let mut times = Series::default();
    // It ends at once when asked to, so that nobody waits for it.
    let server = "trap 'exit 0' TERM; httpd -f -p 8080 & wait";
    let deploy = |version: &str| -> anyhow::Result<()> {
        let mark = format!("VERSION={version}");
        starter.cloud.ok(&[
            "deploy",
            "--image",
            "busybox:latest",
            "--name",
            "trio",
            "--instances",
            "3",
            "--env",
            &mark,
            "--cpus",
            "0.3",
            "--mem",
            "16M",
            "--port",
            "8080",
            "--health",
            "tcp",
            "--health-interval",
            "100ms",
            "--min-healthy",
            "100",
            "--max-surge",
            "34",
            "--command",
            server,
        ]);
        Ok(())
    };
    deploy("first")?;
    for round in 0..REPLACEMENTS {
        let begun = Instant::now();
        deploy(&round.to_string())?;
        times.push(begun.elapsed().as_secs_f64());
    }
    starter.cloud.ok(&["destroy", "--yes", "trio"]);
    starter.is_empty()?;
    let row = Row::new("control: 3 instances replaced one by one", "s", Better::Lower, times);
    Ok(row.goal(Goal::AtMost(1.0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_back_off_is_read_out_of_the_history() {
        let reason = "killed by signal 9 (SIGKILL); starts again in 543 ms (restart 1)";
        let history =
            serde_json::json!({"history": [{"verb": "placed"}, {"verb": "restart", "reason": reason}]});
        assert_eq!(drawn_back_off(&history), Some(543.0));
        assert_eq!(drawn_back_off(&serde_json::json!({"history": []})), None);
    }
}
