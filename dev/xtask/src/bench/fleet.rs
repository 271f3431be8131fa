//! A large cloud on one machine: three servers on an ensemble of etcd, and a herd of simulated agents.
//!
//! The servers are the program to measure, each a process of its own; the agents are all in another one, so that what
//! a server uses is told apart from what they use.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use kogge_testkit::herd::{Herd, Plan};
use nix::sys::signal::Signal;
use serde_json::Value;

use super::lab::Lab;
use super::peers::etcd::{free_address, member};
use super::process::{Server, await_some, output};
use super::talk;

const MEMBERS: usize = 3;
/// Between two looks at what the leader knows.
const LOOK: Duration = Duration::from_secs(1);

/// Engine and servers.
pub(crate) struct Fleet {
    program: PathBuf,
    servers: Vec<Member>,
    directory: PathBuf,
    herd_program: PathBuf,
    // Last: servers say good-bye to their engine.
    _engine: Vec<Server>,
}

/// One server.
pub(crate) struct Member {
    pub(crate) process: Server,
    pub(crate) api: String,
    name: String,
}

/// A deployment of the load.
pub(crate) struct Asked {
    pub(crate) service: String,
    pub(crate) due_us: u64,
    pub(crate) answered_us: u64,
}

/// What a load asks for.
pub(crate) struct Wanted<'a> {
    pub(crate) prefix: &'a str,
    pub(crate) services: usize,
    pub(crate) instances: usize,
    /// Between two requests, whether or not the last one was answered.
    pub(crate) every: Duration,
}

/// How far something is that is waited for.
pub(crate) fn tell(text: &str) {
    talk(&format!("bench: {text}"));
}

impl Fleet {
    pub(crate) fn start(lab: &Lab, name: &str) -> anyhow::Result<Self> {
        let (program, herd_program) = (lab.kogge()?, lab.herd()?);
        let directory = lab.scratch().join(name);
        std::fs::create_dir(&directory)?;
        let (engine, state) = ensemble(&directory)?;
        let servers: anyhow::Result<Vec<Member>> =
            (1..=MEMBERS).map(|number| serve(&program, &directory, &state, number)).collect();
        Ok(Self { program, servers: servers?, directory, herd_program, _engine: engine })
    }

    /// The server that leads, as the servers say.
    pub(crate) fn leader(&self) -> anyhow::Result<&Member> {
        await_some("a leader", || {
            let mut command = Command::new(&self.program);
            command.args(["node", "list", "--output", "json", "--api", &self.servers[0].api]);
            let Ok(said) = output(&mut command) else { return Ok(None) };
            let nodes: Value = serde_json::from_str(&said)?;
            let leader = nodes.as_array().into_iter().flatten().find(|node| node["leader"] == true);
            let name = leader.and_then(|node| node["name"].as_str());
            Ok(self.servers.iter().find(|server| Some(server.name.as_str()) == name))
        })
    }

    /// How many connections `agents` have ready when each has one to each server that does not lead.
    pub(crate) fn ways(&self, agents: usize) -> usize {
        agents * (self.servers.len() - 1)
    }

    /// Waits until the leader knows that so many instances are well: what agents have done it hears later.
    pub(crate) fn settle(&self, instances: usize, patience: Duration) -> anyhow::Result<()> {
        let (leader, deadline) = (&self.leader()?.api, Instant::now() + patience);
        loop {
            let said =
                output(Command::new(&self.program).args(["apps", "--output", "json", "--api", leader]))?;
            let apps: Value = serde_json::from_str(&said)?;
            let healthy = apps.as_array().into_iter().flatten().filter_map(|app| app["healthy"].as_u64());
            let healthy: u64 = healthy.sum();
            if usize::try_from(healthy)? == instances {
                return Ok(());
            }
            ensure!(Instant::now() < deadline, "the leader knows of {healthy} of {instances} instances only");
            std::thread::sleep(LOOK);
        }
    }

    /// Ends a server as a crash does.
    pub(crate) fn kill(&mut self, pid: u32) -> anyhow::Result<()> {
        let at = self.servers.iter().position(|server| server.process.pid() == pid);
        let killed = self.servers.swap_remove(at.context("there is no such server")?);
        killed.process.signal(Signal::SIGKILL)
    }

    /// Agents that join, and are registered when this answers.
    pub(crate) fn herd(&self, agents: usize, patience: Duration) -> anyhow::Result<Herd> {
        let (command, api) = (|| Command::new(&self.herd_program), &self.leader()?.api);
        let directory = &self.directory;
        let mut herd = Herd::start(&Plan { command: &command, api, directory, agents, are_closed: false })?;
        herd.wait("all agents to be registered", patience, tell, |tally| tally.registered == agents)?;
        Ok(herd)
    }

    /// Asks the leader for services; answers when all requests have been answered.
    pub(crate) fn load(&self, wanted: &Wanted<'_>) -> anyhow::Result<Vec<Asked>> {
        let log = self.directory.join(format!("asked-{}", wanted.prefix));
        let mut command = Command::new(&self.herd_program);
        command.args(["load", "--api", &self.leader()?.api, "--prefix", wanted.prefix, "--log"]).arg(&log);
        command.args(["--services", &wanted.services.to_string()]);
        command.args(["--instances", &wanted.instances.to_string()]);
        command.args(["--every-us", &wanted.every.as_micros().to_string()]);
        output(&mut command)?;
        let text = std::fs::read_to_string(&log)?;
        let asked: Option<Vec<Asked>> = text
            .lines()
            .map(|line| {
                let mut words = line.split(' ');
                let service = words.next()?.to_owned();
                let (due_us, answered_us) = (words.nth(1)?.parse().ok()?, words.next()?.parse().ok()?);
                Some(Asked { service, due_us, answered_us })
            })
            .collect();
        asked.context("the load's log cannot be read")
    }
}

/// Starts an ensemble; gives its members and the address of a state there.
fn ensemble(directory: &Path) -> anyhow::Result<(Vec<Server>, String)> {
    let addresses: Vec<[String; 2]> =
        (0..MEMBERS).map(|_| Ok([free_address()?, free_address()?])).collect::<anyhow::Result<_>>()?;
    let cluster: Vec<String> =
        addresses.iter().enumerate().map(|(n, [_, peer])| format!("e{n}=http://{peer}")).collect();
    let cluster = cluster.join(",");
    let mut members = Vec::new();
    for (number, [client, peer]) in addresses.iter().enumerate() {
        let name = format!("e{number}");
        let mut command = member(&name, &directory.join(&name), client, peer, &cluster);
        members.push(Server::start(&mut command, &directory.join(format!("e{number}.talk")))?);
    }
    let hosts: Vec<&str> = addresses.iter().map(|[client, _]| client.as_str()).collect();
    for (number, host) in hosts.iter().enumerate() {
        let talk = directory.join(format!("e{number}.talk"));
        await_some("etcd to serve", || {
            members[number].must_live(&talk)?;
            Ok(is_healthy(host).unwrap_or(false).then_some(()))
        })?;
    }
    Ok((members, format!("etcd://{}/bench", hosts.join(","))))
}

fn is_healthy(host: &str) -> std::io::Result<bool> {
    let mut stream = std::net::TcpStream::connect(host)?;
    stream.write_all(b"GET /health HTTP/1.0\r\n\r\n")?;
    Ok(std::io::read_to_string(stream)?.contains(r#""health":"true""#))
}

fn serve(program: &Path, directory: &Path, state: &str, number: usize) -> anyhow::Result<Member> {
    let name = format!("s{number}");
    let (data, talk) = (directory.join(&name), directory.join(format!("{name}.talk")));
    let mut command = Command::new(program);
    command.args(["server", "--doors", "ephemeral", "--state", state, "--name", &name]);
    command.env("KOGGE_DATA", &data).env_remove("KOGGE_API").env_remove("KOGGE_TOKEN");
    let mut process = Server::start(&mut command, &talk)?;
    let api = await_some("a server to serve", || {
        process.must_live(&talk)?;
        let Ok(text) = std::fs::read(data.join("doors.json")) else { return Ok(None) };
        let doors: Value = serde_json::from_slice(&text).unwrap_or_default();
        Ok(doors["api"].as_str().map(str::to_owned))
    })?;
    Ok(Member { process, api, name })
}
