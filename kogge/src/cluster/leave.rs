//! `kogge leave`: this machine is no part of the cloud any more.

use std::io::Write as _;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use kogge_agent::{AgentConfig, Leaving, Link, Stores};
use kogge_cli::{Failure, Format, Global, LeaveArgs};
use kogge_containers::Workers;
use kogge_containers::image::{ImageStore, Limits};
use kogge_model::reason::Reason;
use tokio::sync::mpsc;

use super::membership::Membership;
use crate::process::Place;
use crate::told::failure;
use crate::up::{doors_pid, start_agent};

/// How long the agent's process may take to end.
const PATIENCE: Duration = Duration::from_secs(30);
/// Between two looks whether it has.
const LOOK: Duration = Duration::from_millis(50);

/// Ends the agent, then its tasks, then the membership.
pub(crate) fn run(args: &LeaveArgs, global: &Global) -> Result<u8, Failure> {
    let place = Place::find(global)?;
    let Some(membership) = Membership::find(&place.data)? else {
        return Err(Failure::new(format!("{} is not that of a member", place.data.display()))
            .with_hint("name the agent's data directory with --data DIR"));
    };
    let cluster = membership.identity()?.authority().cluster().clone();
    if args.plan {
        tell(global.output, &format!("would end all tasks on this machine and leave cloud {cluster}"));
        return Ok(0);
    }
    end_process(&place)?;
    place.prepare()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.map_err(|error| failure("cannot start", &error))?;
    let mut config = AgentConfig::new(
        place.data.join("agent"),
        place.runtime().join("agent"),
        place.tag(),
        IpAddr::from([127, 0, 0, 1]),
    );
    config.cluster = Some(cluster.clone());
    runtime.block_on(Box::pin(end_tasks(&place, config)))?;
    membership.forget()?;
    tell(global.output, &format!("left cloud {cluster}; tell a server so: kogge node forget NAME"));
    Ok(0)
}

/// The agent's process, if it runs: it must not start again what ends.
fn end_process(place: &Place) -> Result<(), Failure> {
    let Some(pid) = doors_pid(&place.doors_file()).and_then(rustix::process::Pid::from_raw) else {
        return Ok(());
    };
    if rustix::process::kill_process(pid, rustix::process::Signal::TERM).is_err() {
        return Ok(());
    }
    let until = Instant::now() + PATIENCE;
    while rustix::process::test_kill_process(pid).is_ok() && place.doors_file().exists() {
        if Instant::now() > until {
            return Err(Failure::new(format!("the agent's process {pid} does not end"))
                .with_hint("end it with `kill -9`, which touches no task, and try again"));
        }
        std::thread::sleep(LOOK);
    }
    Ok(())
}

/// Takes the tasks over without a link to anybody, and ends them.
async fn end_tasks(place: &Place, config: AgentConfig) -> Result<(), Failure> {
    let workers = Workers::new(2);
    let images = ImageStore::open(&place.image_store(), Limits::default(), workers.clone())
        .map_err(|error| failure("cannot open the image store", &error))?;
    let (to_control, _nobody) = mpsc::channel(1_024);
    let until = Instant::now() + PATIENCE;
    let (agent, _silent) = loop {
        let (silent, from_control) = mpsc::channel(1);
        let stores = Stores { images: images.clone(), workers: workers.clone(), peer: None };
        let link = Link { to_control: to_control.clone(), from_control };
        match start_agent(config.clone(), link, stores).await {
            Ok(agent) => break (agent, silent),
            // The process that was asked to end may hold the directory a little longer.
            Err(failed) if Instant::now() > until => return Err(failed),
            Err(_) => tokio::time::sleep(LOOK).await,
        }
    };
    let laggards = agent.shutdown(Leaving::End(Reason::new("the machine leaves the cloud"))).await;
    if !laggards.is_empty() {
        return Err(Failure::new(format!("did not end in time: {}", laggards.join(", "))));
    }
    // It holds nothing that is needed again; what is in use cannot be removed and stays.
    let _ = std::fs::remove_dir_all(place.runtime());
    Ok(())
}

fn tell(format: Format, text: &str) {
    if format == Format::Text {
        // A reader that is gone is no failure.
        let _ = writeln!(std::io::stdout(), "{text}");
    }
}
