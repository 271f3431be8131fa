//! What an idle cloud costs: memory, and processor time with idle tasks.

use std::time::{Duration, Instant};

use anyhow::ensure;
use kogge_testkit::CloudUnderTest;

use super::lab::Lab;
use super::process::{await_some, cpu_seconds, footprint, shims};
use super::row::{Better, Goal, Row, Series};

const TASKS: usize = 20;
/// The processor time of so long is told.
const WATCHED: Duration = Duration::from_secs(20);
const MB: f64 = 1_000_000.0;

pub(crate) fn run(lab: &Lab) -> anyhow::Result<Vec<Row>> {
    let cloud = CloudUnderTest::up(&lab.kogge()?.to_string_lossy());
    let own = cloud.pid();
    watch(Duration::from_secs(2));
    let alone = footprint(&[own]);
    let count = TASKS.to_string();
    cloud.load_busybox("busybox:latest");
    cloud.ok(&[
        "deploy",
        "--image",
        "busybox:latest",
        "--name",
        "idle",
        "--instances",
        &count,
        "--cpus",
        "0.02",
        "--mem",
        "8M",
        "--health",
        "none",
        "--kill-grace",
        "0s",
        "--",
        "sleep",
        "100000",
    ]);
    let _ = cloud.healthy("idle", TASKS);
    let mut all = shims(&cloud.data());
    ensure!(all.len() == TASKS, "{} supervisors for {TASKS} tasks", all.len());
    all.push(own);
    watch(Duration::from_secs(2));
    let before = cpu_seconds(&all);
    let watched = watch(WATCHED);
    let share = (cpu_seconds(&all) - before) / watched.as_secs_f64() * 100.0;
    let busy = footprint(&all);
    cloud.ok(&["destroy", "--yes", "idle"]);
    await_some("the end of all tasks", || Ok(shims(&cloud.data()).is_empty().then_some(())))?;
    cloud.down();
    let one = |value: f64| -> Series { [value].into_iter().collect() };
    let row =
        |name, unit, value, most| Row::new(name, unit, Better::Lower, one(value)).goal(Goal::AtMost(most));
    Ok(vec![
        row("idle: PSS of kogge up", "MB", alone.pss / MB, 40.0),
        row("idle: private memory of kogge up", "MB", alone.private / MB, 12.0),
        row("idle: PSS with 20 tasks, supervisors included", "MB", busy.pss / MB, 60.0),
        row("idle: processor with 20 tasks, of a core", "%", share, 0.5),
    ])
}

/// Lets time pass: what is measured here is what happens when nothing happens. Tells how long it was.
fn watch(time: Duration) -> Duration {
    let begun = Instant::now();
    std::thread::sleep(time);
    begun.elapsed()
}
