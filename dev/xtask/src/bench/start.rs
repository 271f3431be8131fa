//! From a request to a process that runs in a container with a working bridge network, the image being there.
//!
//! The clock starts with the command-line client and stops when the process has reached the world outside.

use std::process::{Child, Stdio};
use std::time::Instant;

use anyhow::{Context, bail};
use kogge_testkit::{CloudUnderTest, image};

use super::lab::Lab;
use super::outside::{Outside, Side};
use super::peers::docker::Docker;
use super::process::{await_some, footprint, shims};
use super::row::{Better, Goal, Row, Series};
use super::talk;

const ROUNDS: usize = 15;
const MANY: usize = 50;
const MANY_ROUNDS: usize = 3;
const PEER: &str = "docker run";

/// A cloud that starts processes which reach the outside.
pub(crate) struct Starter {
    pub(crate) cloud: CloudUnderTest,
    pub(crate) outside: Outside,
    address: [String; 2],
}

impl Starter {
    pub(crate) fn open(lab: &Lab) -> anyhow::Result<Self> {
        let mut outside = Outside::make()?;
        let address = outside.connect(&Side::Machine)?;
        let cloud = CloudUnderTest::up(&lab.kogge()?.to_string_lossy());
        cloud.load_busybox("busybox:latest");
        Ok(Self { cloud, outside, address })
    }

    /// `nc ADDRESS PORT`.
    pub(crate) fn program(&self) -> [&str; 3] {
        ["nc", &self.address[0], &self.address[1]]
    }

    /// Words of a deployment of such a process. It does not listen to SIGTERM, so nobody waits for that.
    pub(crate) fn deploy<'a>(&'a self, name: &'a str, cpus: &'a str, more: &[&'a str]) -> Vec<&'a str> {
        let mut words = vec!["deploy", "--image", "busybox:latest", "--name", name, "--cpus", cpus];
        words.extend(["--mem", "8M", "--health", "none", "--kill-grace", "0s"]);
        words.extend(more);
        words.push("--");
        words.extend(self.program());
        words
    }

    fn start_one(&self) -> anyhow::Result<f64> {
        self.start_many(&["one".to_owned()], "1", &["--detach"], 1)
    }

    /// Milliseconds from these deployments at once to the last of `count` processes that reached the outside.
    fn start_many(&self, names: &[String], cpus: &str, more: &[&str], count: usize) -> anyhow::Result<f64> {
        let begun = Instant::now();
        let clients: Vec<Child> = names
            .iter()
            .map(|name| {
                let mut client = self.cloud.command(&self.deploy(name, cpus, more));
                client.stdout(Stdio::null()).stderr(Stdio::piped()).spawn()
            })
            .collect::<Result<_, _>>()
            .context("cannot run kogge")?;
        let arrived = self.outside.arrivals(count);
        for client in clients {
            let done = client.wait_with_output()?;
            if !done.status.success() {
                bail!("kogge deploy failed: {}", String::from_utf8_lossy(&done.stderr).trim());
            }
        }
        let (last, held) = arrived.context("kogge deploy")?;
        let mut words = vec!["destroy", "--yes"];
        words.extend(names.iter().map(String::as_str));
        self.cloud.ok(&words);
        drop(held);
        self.is_empty()?;
        Ok(last.duration_since(begun).as_secs_f64() * 1000.0)
    }

    /// Waits until nothing runs, so that rounds do not disturb each other.
    pub(crate) fn is_empty(&self) -> anyhow::Result<()> {
        await_some("the end of all tasks", || Ok(shims(&self.cloud.data()).is_empty().then_some(())))
    }
}

pub(crate) fn run(lab: &Lab) -> anyhow::Result<Vec<Row>> {
    let mut starter = Starter::open(lab)?;
    let archive = lab.scratch().join("busybox.tar");
    image::busybox(&archive);
    let docker = Docker::start(&mut starter.outside, &archive);
    let note = docker.as_ref().err().map(|error| format!("dockerd cannot run here: {error:#}"));
    if let Some(note) = &note {
        talk(note);
    }
    let docker = docker.ok();
    let mut rows = start_one_by_one(&starter, docker.as_ref())?;
    rows.extend(start_fifty(&starter, docker.as_ref())?);
    rows.push(supervisors(&starter)?);
    drop(docker);
    let Starter { cloud, outside, .. } = starter;
    cloud.down();
    drop(outside);
    Ok(match note {
        Some(note) => {
            rows.into_iter().map(|row| if row.has_peer() { row.note(&note) } else { row }).collect()
        }
        None => rows,
    })
}

fn start_one_by_one(starter: &Starter, docker: Option<&Docker>) -> anyhow::Result<Vec<Row>> {
    let (mut ours, mut theirs) = (Series::default(), Series::default());
    for _ in 0..ROUNDS {
        ours.push(starter.start_one()?);
        if let Some(docker) = docker {
            theirs.push(docker.start_many(&starter.outside, 1)?);
        }
    }
    let row = Row::new("start: request → process, bridge", "ms", Better::Lower, ours);
    Ok(vec![row.beside(PEER, theirs).goal(Goal::RatioAtMost(0.15))])
}

/// As one request for all, which is what a cloud is asked, and as many clients at once, which is what Docker gets.
fn start_fifty(starter: &Starter, docker: Option<&Docker>) -> anyhow::Result<Vec<Row>> {
    // What two cores can hold: nothing is ever over-committed.
    let cpus = format!("{:.3}", starter_cores() * 0.75 / MANY as f64);
    let (mut together, mut apart, mut theirs) = (Series::default(), Series::default(), Series::default());
    let (count, names) = (MANY.to_string(), (0..MANY).map(|number| format!("n{number}")).collect::<Vec<_>>());
    for _ in 0..MANY_ROUNDS {
        let all = ["--detach", "--instances", &count];
        together.push(starter.start_many(&["all".to_owned()], &cpus, &all, MANY)?);
        apart.push(starter.start_many(&names, &cpus, &["--detach"], MANY)?);
        if let Some(docker) = docker {
            theirs.push(docker.start_many(&starter.outside, MANY)?);
        }
    }
    let goal = Goal::RatioAtMost(0.2);
    Ok(vec![
        Row::new("start: 50 instances, one request", "ms", Better::Lower, together)
            .beside(PEER, theirs.clone())
            .goal(goal),
        Row::new("start: 50 requests at once", "ms", Better::Lower, apart).beside(PEER, theirs).goal(goal),
    ])
}

/// Processor time is reserved: the machine's cores.
fn starter_cores() -> f64 {
    std::thread::available_parallelism().map_or(1.0, |cores| cores.get() as f64)
}

fn supervisors(starter: &Starter) -> anyhow::Result<Row> {
    const COUNT: usize = 20;
    let count = COUNT.to_string();
    starter.cloud.ok(&starter.deploy("held", "0.05", &["--detach", "--instances", &count]));
    let (_, held) = starter.outside.arrivals(COUNT)?;
    let shims = shims(&starter.cloud.data());
    if shims.len() != COUNT {
        bail!("{} supervisors for {COUNT} tasks", shims.len());
    }
    let sizes: Series = shims.iter().map(|shim| footprint(&[*shim]).pss / 1024.0).collect();
    starter.cloud.ok(&["destroy", "--yes", "held"]);
    drop(held);
    starter.is_empty()?;
    let row = Row::new("start: PSS of a task's supervisor", "KiB", Better::Lower, sizes);
    Ok(row.goal(Goal::AtMost(1024.0)))
}
