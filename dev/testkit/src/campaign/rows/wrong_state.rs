//! Servers that are started with a state that is not the cluster's: empty, then another cluster's. They refuse it; those
//! that know nothing of the cluster, for their disks are new, are not obeyed by agents. No task is killed. Last with a
//! backup of their own, which is obeyed.

use std::time::Duration;

use super::{Row, linger};
use crate::campaign::{Miss, Stage, Tasks, kogge};
use crate::cluster::{Fault, Launch, ProcessState, Role};

pub(super) const ROW: Row = Row {
    name: "wrong-state",
    promises: "G4",
    shape: super::as_planned,
    play,
    back: Duration::from_secs(30),
};

/// So long all servers have the wrong state: longer than agents are waited for.
const WRONG: Duration = Duration::from_secs(8);
/// A server has found out by then that a state is not its cluster's.
const REFUSED: Duration = Duration::from_secs(10);

fn play(stage: &mut Stage) -> Result<String, Miss> {
    let tasks = stage.tasks()?;
    let right =
        stage.bed.record().state.clone().ok_or_else(|| Miss::new("the bed does not know its state"))?;
    let base = right.trim_end_matches("kogge").to_owned();
    // One server alone, with nothing: it founds a cluster that is not this one.
    let server = stage.names(Role::Server).pop().ok_or_else(|| Miss::new("there is no server"))?;
    under(stage, &[&server], &format!("{base}empty"), &tasks)?;
    refused(stage, &server, &format!("{base}nothing"))?;
    refused(stage, &server, &format!("{base}empty"))?;
    // All of them, with that other cluster.
    all_under(stage, &format!("{base}empty"), &tasks)?;
    restore(stage, &right, &format!("{base}restored"))?;
    stage.settle(ROW.back)?;
    stage.untouched(&tasks)?;
    Ok(format!("empty, foreign, restored: {} tasks untouched", tasks.0.len()))
}

/// A server that was one of the cluster ends by itself when it is given another state.
fn refused(stage: &mut Stage, server: &str, state: &str) -> Result<(), Miss> {
    stage.fault(server, &Fault::Kill { with_tasks: false })?;
    let launch = with_state(stage, server, state)?;
    stage.bed.start_once(server, launch)?;
    stage.until("a server refuses a state", REFUSED, |stage| match stage.bed.node(server)?.state() {
        ProcessState::Gone => Ok(()),
        ProcessState::Running | ProcessState::Paused => Err(Miss::new(format!("{server} runs with {state}"))),
    })?;
    let said = stage.bed.node(server)?.last_words();
    if !said.contains("and this server is one of cluster") {
        return Err(Miss::new(format!("{server} ended with {state} for another reason: {said}")));
    }
    stage.bed.start(server)?;
    Ok(())
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

/// With the cluster's state, or with this one and a new disk.
fn start(stage: &mut Stage, servers: &[String], state: Option<&str>) -> Result<(), Miss> {
    for server in servers {
        let Some(state) = state else {
            stage.bed.start(server)?;
            continue;
        };
        let mut launch = with_state(stage, server, state)?;
        let disk = argument(&mut launch, "--data")?;
        disk.push_str("-new");
        stage.bed.start_once(server, launch)?;
    }
    Ok(())
}

/// How the server is started, but with another state.
fn with_state(stage: &Stage, server: &str, state: &str) -> Result<Launch, Miss> {
    let launch = stage.bed.node(server)?.launch.clone();
    let mut launch = launch.ok_or_else(|| Miss::new(format!("{server} was never started")))?;
    state.clone_into(argument(&mut launch, "--state")?);
    Ok(launch)
}

/// What stands behind a flag.
fn argument<'a>(launch: &'a mut Launch, flag: &str) -> Result<&'a mut String, Miss> {
    let at = launch.words.iter().position(|word| word == flag).map(|at| at + 1);
    let word = at.and_then(|at| launch.words.get_mut(at));
    word.ok_or_else(|| Miss::new(format!("a server is started without {flag}")))
}
