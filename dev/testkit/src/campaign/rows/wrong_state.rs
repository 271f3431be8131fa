//! Servers that are started with a state that is not the cluster's: empty, then another cluster's. Agents do not obey
//! them, and no task is killed. Last with a backup of their own, which is obeyed.

use std::time::Duration;

use super::{Row, linger};
use crate::campaign::{Miss, Stage, Tasks, kogge};
use crate::cluster::{Fault, Launch, Role};

pub(super) const ROW: Row = Row {
    name: "wrong-state",
    promises: "G4",
    shape: super::as_planned,
    play,
    back: Duration::from_secs(30),
};

/// So long all servers have the wrong state: longer than agents are waited for.
const WRONG: Duration = Duration::from_secs(8);

fn play(stage: &mut Stage) -> Result<String, Miss> {
    let tasks = stage.tasks()?;
    let right =
        stage.bed.record().state.clone().ok_or_else(|| Miss::new("the bed does not know its state"))?;
    let base = right.trim_end_matches("kogge").to_owned();
    // One server alone, with nothing: it founds a cluster that is not this one.
    let server = stage.names(Role::Server).pop().ok_or_else(|| Miss::new("there is no server"))?;
    under(stage, &[&server], &format!("{base}empty"), &tasks)?;
    // All of them, with that other cluster.
    all_under(stage, &format!("{base}empty"), &tasks)?;
    restore(stage, &right, &format!("{base}restored"))?;
    stage.settle(ROW.back)?;
    stage.untouched(&tasks)?;
    Ok(format!("empty, foreign, restored: {} tasks untouched", tasks.0.len()))
}

/// All servers go on with a backup of the state.
fn restore(stage: &mut Stage, from: &str, to: &str) -> Result<(), Miss> {
    let servers = stage.names(Role::Server);
    let backup = stage.bed.record().directory.join("backup").to_string_lossy().into_owned();
    // What is written after a backup is lost with it.
    stage.register.hush(true);
    stop(stage, &servers)?;
    let led = Duration::from_secs(10);
    stage.until("nobody leads the state any more", led, |stage| {
        kogge(&stage.bed, "s1", &["state", "backup", &backup, "--state", from])
    })?;
    kogge(&stage.bed, "s1", &["state", "restore", &backup, "--state", to])?;
    for server in &servers {
        let launch = with_state(stage, server, to)?;
        stage.bed.set_launch(server, launch)?;
    }
    start(stage, &servers, None)?;
    stage.register.hush(false);
    Ok(())
}

fn all_under(stage: &mut Stage, state: &str, tasks: &Tasks) -> Result<(), Miss> {
    let all = stage.names(Role::Server);
    under(stage, &all.iter().map(String::as_str).collect::<Vec<_>>(), state, tasks)
}

/// These servers have that state for a while.
fn under(stage: &mut Stage, servers: &[&str], state: &str, tasks: &Tasks) -> Result<(), Miss> {
    let servers: Vec<String> = servers.iter().map(|name| (*name).to_owned()).collect();
    stop(stage, &servers)?;
    start(stage, &servers, Some(state))?;
    linger(WRONG);
    tasks.alive()?;
    stop(stage, &servers)?;
    start(stage, &servers, None)?;
    stage.settle(ROW.back)?;
    tasks.alive()
}

fn stop(stage: &mut Stage, servers: &[String]) -> Result<(), Miss> {
    servers.iter().try_for_each(|server| stage.fault(server, &Fault::Kill { with_tasks: false }).map(drop))
}

/// With the cluster's state, or with this one.
fn start(stage: &mut Stage, servers: &[String], state: Option<&str>) -> Result<(), Miss> {
    for server in servers {
        let Some(state) = state else {
            stage.bed.start(server)?;
            continue;
        };
        let launch = with_state(stage, server, state)?;
        stage.bed.start_once(server, launch)?;
    }
    Ok(())
}

/// How the server is started, but with another state.
fn with_state(stage: &Stage, server: &str, state: &str) -> Result<Launch, Miss> {
    let launch = stage.bed.node(server)?.launch.clone();
    let mut launch = launch.ok_or_else(|| Miss::new(format!("{server} was never started")))?;
    let at = launch.words.iter().position(|word| word == "--state").map(|at| at + 1);
    let word = at.and_then(|at| launch.words.get_mut(at));
    state.clone_into(word.ok_or_else(|| Miss::new("a server is not told where its state is"))?);
    Ok(launch)
}
