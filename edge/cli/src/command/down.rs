//! `kogge down`

use std::io;
use std::time::Duration;

use kogge_client::{Client, ClientError};
use kogge_model::view::StatusView;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::OwnedFd;
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use serde::Serialize;

use crate::args::DownArgs;
use crate::context::Context;
use crate::failure::Failure;
use crate::output::{Page, Show};

/// Longer than tasks may take to end: an hour of grace at most, and what comes after.
const DEADLINE: Duration = Duration::from_secs(4_000);

/// Between two looks at a cloud on another machine, whose process cannot be watched.
const REMOTE_LOOK: Duration = Duration::from_millis(500);

pub(crate) async fn run(context: &mut Context, args: &DownArgs) -> Result<(), Failure> {
    let client = context.client()?;
    let status = client.status().await?;
    if args.plan {
        let tasks = if args.keep_tasks { "its tasks would run on" } else { "all its tasks would end" };
        return context.print(&Ended { pid: status.pid, is_plan: true, text: tasks.to_owned() });
    }
    // Opened before anything ends, so that no later process with the same number can be mistaken for it.
    let process = local_process(&client, status.pid);
    client.down(args.keep_tasks).await?;
    let mut progress = Context::progress();
    progress.tell(if args.keep_tasks { "ending" } else { "ending, with all tasks" }.to_owned());
    let has_ended = match process {
        Some(process) => {
            let watched = ended(process).await;
            watched
                .map_err(|error| Failure::new(format!("cannot watch process {} end: {error}", status.pid)))?
        }
        None => match tokio::time::timeout(DEADLINE, silent(&client)).await {
            Ok(result) => result.map(|()| true)?,
            Err(_) => false,
        },
    };
    drop(progress);
    if !has_ended {
        return Err(too_late(&status));
    }
    let text = if args.keep_tasks { "its tasks run on" } else { "its tasks have ended" };
    context.print(&Ended { pid: status.pid, is_plan: false, text: text.to_owned() })
}

fn too_late(status: &StatusView) -> Failure {
    Failure::new(format!("process {} has not ended within {} s", status.pid, DEADLINE.as_secs()))
        .with_hint("look at what it logs; end it with `kill -9`, which touches no task")
}

/// The cloud's process, if it is on this machine.
fn local_process(client: &Client, pid: u32) -> Option<OwnedFd> {
    let host = client.api().split("://").nth(1)?;
    let is_local = ["127.", "localhost", "[::1]"].iter().any(|name| host.starts_with(name));
    let pid = Pid::from_raw(i32::try_from(pid).ok()?)?;
    if is_local { pidfd_open(pid, PidfdFlags::NONBLOCK).ok() } else { None }
}

/// Waits for the end of a process: its descriptor becomes readable then (pidfd_open(2)). Tells whether it came.
async fn ended(process: OwnedFd) -> io::Result<bool> {
    let until = Timespec { tv_sec: i64::try_from(DEADLINE.as_secs()).unwrap_or(i64::MAX), tv_nsec: 0 };
    let watch = move || poll(&mut [PollFd::new(&process, PollFlags::IN)], Some(&until));
    let ready = tokio::task::spawn_blocking(watch).await.map_err(io::Error::other)??;
    Ok(ready > 0)
}

/// Waits until nobody answers any more.
async fn silent(client: &Client) -> Result<(), Failure> {
    loop {
        match client.status().await {
            Ok(_) => tokio::time::sleep(REMOTE_LOOK).await,
            Err(error) if error.is_gone() || matches!(error, ClientError::Broken { .. }) => return Ok(()),
            Err(error) => return Err(error.into()),
        }
    }
}

/// What became of the cloud.
#[derive(Serialize)]
struct Ended {
    pid: u32,
    is_plan: bool,
    text: String,
}

impl Show for Ended {
    fn show(&self, page: &mut Page<'_>) -> io::Result<()> {
        let what = if self.is_plan { "would end" } else { "has ended" };
        writeln!(page.out, "process {} {what}: {}", self.pid, self.text)
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[tokio::test]
    async fn the_end_of_a_process_is_seen() {
        let mut child = Command::new("sleep").arg("60").spawn().unwrap();
        let client = Client::new("http://127.0.0.1:1").unwrap();
        let process = local_process(&client, child.id()).unwrap();
        child.kill().unwrap();
        assert!(ended(process).await.unwrap());
        child.wait().unwrap();
        let remote = Client::new("http://192.0.2.1:1").unwrap();
        assert!(local_process(&remote, std::process::id()).is_none());
    }
}
