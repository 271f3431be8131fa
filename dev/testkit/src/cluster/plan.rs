//! A whole cluster: members of an engine, servers on it, agents that join.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;

use super::program::output;
use super::{Bed, BedError, Engine, Node, Role, words};

/// How long each step may take on a slow, busy machine.
const PATIENCE: Duration = Duration::from_secs(90);

/// What a cluster consists of.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The program of the nodes.
    pub kogge: PathBuf,
    /// What holds the state.
    pub engine: Engine,
    /// How many members it has.
    pub engines: usize,
    /// How many servers there are.
    pub servers: usize,
    /// How many agents there are.
    pub agents: usize,
    /// Nodes with a disk of their own, and its size in MiB.
    pub disks: BTreeMap<String, u64>,
    /// Whether the clocks of servers and agents can be shifted.
    pub has_clocks: bool,
}

impl Plan {
    /// Three members of etcd, three servers, five agents.
    #[must_use]
    pub fn new(kogge: &Path) -> Self {
        Self {
            kogge: kogge.to_owned(),
            engine: Engine::Etcd,
            engines: 3,
            servers: 3,
            agents: 5,
            disks: BTreeMap::new(),
            has_clocks: false,
        }
    }

    /// Makes all of it on a bed, and waits until it is ready. Each step is told.
    ///
    /// # Errors
    /// When a step fails; the bed holds what was made until then.
    pub fn build(&self, bed: &mut Bed, tell: &mut dyn FnMut(&str)) -> Result<(), BedError> {
        let program = self.program(bed)?;
        self.machines(bed)?;
        tell(&format!("{} machines on one switch", bed.record.nodes.len()));
        let state = self.start_engine(bed)?;
        tell(&format!("{} members hold the state: {state}", self.engines));
        self.start_servers(bed, &program, &state)?;
        tell(&format!("{} servers serve", self.servers));
        self.start_agents(bed, &program)?;
        tell(&format!("{} agents have joined", self.agents));
        Ok(())
    }

    /// A copy in the bed: building anew does not change what runs.
    fn program(&self, bed: &Bed) -> Result<PathBuf, BedError> {
        let folder = bed.record.directory.join("bin");
        fs::create_dir_all(&folder).map_err(BedError::file("make", &folder))?;
        let program = folder.join("kogge");
        fs::copy(&self.kogge, &program).map_err(BedError::file("copy", &self.kogge))?;
        Ok(program)
    }

    fn names(&self) -> impl Iterator<Item = (String, Role)> {
        let roles = [
            ("e", Role::Engine, self.engines),
            ("s", Role::Server, self.servers),
            ("a", Role::Agent, self.agents),
        ];
        roles
            .into_iter()
            .flat_map(|(letter, role, count)| (1..=count).map(move |n| (format!("{letter}{n}"), role)))
    }

    fn machines(&self, bed: &mut Bed) -> Result<(), BedError> {
        if let Some(name) = self.disks.keys().find(|name| !self.names().any(|(known, _)| known == **name)) {
            return Err(BedError::Refused(format!("a disk is asked for {name}, but there is no such node")));
        }
        for (name, role) in self.names() {
            bed.add(&name, role, self.disks.get(&name).copied())?;
            if self.has_clocks && role != Role::Engine {
                bed.with_clock(&name)?;
            }
        }
        Ok(())
    }

    /// Gives the address of the state.
    fn start_engine(&self, bed: &mut Bed) -> Result<String, BedError> {
        let members: Vec<Node> = bed.nodes(Role::Engine).into_iter().cloned().collect();
        let all: Vec<&Node> = members.iter().collect();
        for member in &members {
            bed.set_launch(&member.name, self.engine.launch(member, &all)?)?;
            bed.start(&member.name)?;
        }
        for member in &members {
            bed.ready(&member.name, "serves", PATIENCE, |node| self.engine.serves(node))?;
        }
        let state = self.engine.address(&all, "kogge");
        bed.record.state = Some(state.clone());
        bed.save()?;
        Ok(state)
    }

    /// The first one founds the cluster; the others find it.
    fn start_servers(&self, bed: &mut Bed, program: &Path, state: &str) -> Result<(), BedError> {
        let names: Vec<String> = bed.nodes(Role::Server).iter().map(|node| node.name.clone()).collect();
        let (first, others) = names.split_at(names.len().min(1));
        for group in [first, others] {
            for name in group {
                let launch = words::server(program, bed.node(name)?, state);
                bed.set_launch(name, launch)?;
                bed.start(name)?;
            }
            for name in group {
                bed.ready(name, "serves", PATIENCE, |node| ask(program, node, words::STATUS).map(drop))?;
                bed.find_doors(name)?;
            }
        }
        bed.find_client_env(program)
    }

    fn start_agents(&self, bed: &mut Bed, program: &Path) -> Result<(), BedError> {
        let names: Vec<String> = bed.nodes(Role::Agent).iter().map(|node| node.name.clone()).collect();
        let Some(server) = bed.nodes(Role::Server).first().map(|node| (*node).clone()) else { return Ok(()) };
        for name in &names {
            let token = told(program, &server, words::TOKEN, "token")?;
            let node = bed.node(name)?;
            let (join, later) = (words::join(program, node, &server, &token), words::agent(program, node));
            bed.set_launch(name, later)?;
            bed.start_once(name, join)?;
        }
        for name in &names {
            bed.ready(name, "has joined", PATIENCE, |_| is_ready(program, &server, name))?;
            bed.find_doors(name)?;
        }
        Ok(())
    }
}

impl Bed {
    /// Writes down which doors a node has opened, as it says itself.
    fn find_doors(&mut self, name: &str) -> Result<(), BedError> {
        let doors = self.ready(name, "has opened its doors", PATIENCE, |node| {
            let text =
                fs::read_to_string(node.data.join(words::DOORS_FILE)).map_err(|error| error.to_string())?;
            let doors: BTreeMap<String, Value> =
                serde_json::from_str(&text).map_err(|error| error.to_string())?;
            let urls = doors.into_iter().filter_map(|(door, url)| Some((door, url.as_str()?.to_owned())));
            Ok(urls.collect())
        })?;
        self.record.node_mut(name)?.doors = doors;
        self.save()
    }

    /// What leads clients to all servers, and lets them in.
    fn find_client_env(&mut self, program: &Path) -> Result<(), BedError> {
        let servers = self.nodes(Role::Server);
        let Some(first) = servers.first() else { return Ok(()) };
        let secret = told(program, first, words::CLIENT_TOKEN, "secret")?;
        let apis = servers.iter().filter_map(|node| node.doors.get(words::API_DOOR).cloned());
        let apis: Vec<String> = apis.collect();
        let env = &mut self.record.client.env;
        env.insert(words::API.to_owned(), apis.join(","));
        env.insert(words::ACCESS.to_owned(), secret);
        self.save()
    }
}

/// Asks a server from within its machine.
fn ask(program: &Path, server: &Node, words: &[&str]) -> Result<Value, String> {
    let mut command = server.network().command(program);
    command.args(words).env(words::DATA, &server.data).env_remove(words::API).current_dir("/");
    let text = output(&mut command).map_err(|error| error.to_string())?;
    serde_json::from_str(&text).map_err(|error| format!("{error} in {text}"))
}

/// One text out of what a server answers.
fn told(program: &Path, server: &Node, words: &[&str], key: &str) -> Result<String, BedError> {
    let refused = |said: String| BedError::Program { program: format!("kogge {}", words.join(" ")), said };
    let answer = ask(program, server, words).map_err(refused)?;
    answer[key].as_str().map(str::to_owned).ok_or_else(|| refused(format!("it told no {key}")))
}

fn is_ready(program: &Path, server: &Node, name: &str) -> Result<(), String> {
    let nodes = ask(program, server, words::NODES)?;
    let node = nodes.as_array().into_iter().flatten().find(|node| node["name"] == name);
    match node {
        Some(node) if node["state"] == words::READY => Ok(()),
        Some(node) => Err(format!("it is {}", node["state"])),
        None => Err("no server knows it".into()),
    }
}
