//! The cluster of one row: something that runs, something that asks for it, something that writes.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::exchange::Answer;
use super::register::Door;
use super::{Dice, Miss, Register, Requests, Tasks, Trial};
use crate::cluster::program::output;
use crate::cluster::{Bed, Engine, Fault, Node, Plan, ProcessId, ProcessState, Role, words};
use crate::herd::Herd;
use crate::{image, wait};

/// Instances of the service that users ask for.
pub const WISH: usize = 4;
const SERVE: &str = "mkdir -p /tmp/www; hostname > /tmp/www/index.html; exec httpd -f -p 8080 -h /tmp/www";
const IMAGE: &str = "box:1";
/// How long one question may take; a server that stands still is asked no longer.
const PATIENCE: Duration = Duration::from_secs(1);
/// How long the start of something may take on a slow machine.
pub(super) const START: Duration = Duration::from_secs(60);

/// A cluster with users and clients.
#[derive(Debug)]
pub struct Stage {
    /// Its machines.
    pub bed: Bed,
    /// What the row is played with.
    pub dice: Dice,
    /// How many times longer than promised everything may take.
    pub slack: u32,
    /// Another build of the program, for upgrades.
    pub other: PathBuf,
    /// What holds the state.
    pub engine: Engine,
    /// The clients that write.
    pub register: Register,
    pub(super) requests: Requests,
    may_fail: Vec<(Instant, Duration)>,
    pub(super) herd_program: Option<PathBuf>,
    pub(super) herd: Option<Herd>,
}

impl Stage {
    /// Makes the cluster on `bed` and starts everything. Users go through the router of the last agent.
    ///
    /// # Errors
    /// When a part does not come up; with the bed, which has the logs.
    pub fn set(mut bed: Bed, plan: &Plan, trial: &Trial) -> Result<Self, (Box<Bed>, Miss)> {
        match Self::people(&mut bed, plan) {
            Ok((requests, register)) => {
                let (dice, slack) = (Dice::new(trial.seed), trial.slack);
                let (other, engine, may_fail) = (trial.other.clone(), trial.engine, Vec::new());
                let (herd_program, herd) = (trial.herd.clone(), None);
                Ok(Self { bed, dice, slack, other, engine, register, requests, may_fail, herd_program, herd })
            }
            Err(miss) => Err((Box::new(bed), miss)),
        }
    }

    /// Builds everything, and lets users and clients begin.
    fn people(bed: &mut Bed, plan: &Plan) -> Result<(Requests, Register), Miss> {
        plan.build(bed, &mut |_| {})?;
        let doors = doors(bed)?;
        load_image(bed)?;
        deploy_web(&doors[0])?;
        let router = bed.nodes(Role::Agent).last().map(|node| router(node));
        let router = router.ok_or_else(|| Miss::new("there is no agent"))?;
        let requests = Requests::start(&bed.client(), router, "web.localhost")?;
        let register = Register::start(&doors)?;
        Ok((requests, register))
    }

    /// Names of all nodes of a role.
    #[must_use]
    pub fn names(&self, role: Role) -> Vec<String> {
        self.bed.nodes(role).iter().map(|node| node.name.clone()).collect()
    }

    /// Lets something happen; gives when it had.
    ///
    /// # Errors
    /// When it cannot happen.
    pub fn fault(&mut self, node: &str, fault: &Fault) -> Result<Instant, Miss> {
        self.bed.fault(node, fault)?;
        Ok(Instant::now())
    }

    /// From now on, for so long, requests of users may fail: a machine with instances of theirs has died.
    pub fn forgive(&mut self, span: Duration) {
        self.may_fail.push((Instant::now(), span * self.slack));
    }

    /// The first good answer of a server that runs.
    ///
    /// # Errors
    /// What the last one said, when none gives a good answer.
    pub fn ask(&self, path: &str) -> Result<Answer, Miss> {
        self.ask_any(path, None, PATIENCE, None)
    }

    /// The same for a long answer, which takes its time.
    ///
    /// # Errors
    /// What the last one said, when none gives a good answer.
    pub fn ask_for(&self, path: &str, limit: Duration) -> Result<Answer, Miss> {
        self.ask_any(path, None, limit, None)
    }

    /// The same, but not of this server.
    ///
    /// # Errors
    /// What the last one said, when none gives a good answer.
    pub fn ask_but(&self, server: &str, path: &str) -> Result<Answer, Miss> {
        self.ask_any(path, None, PATIENCE, Some(server))
    }

    /// The same for a change.
    ///
    /// # Errors
    /// What the last one said, when none takes it.
    pub fn post(&self, path: &str, body: &Value) -> Result<Answer, Miss> {
        self.ask_any(path, Some(body), 10 * PATIENCE, None)
    }

    fn ask_any(
        &self,
        path: &str,
        body: Option<&Value>,
        limit: Duration,
        but: Option<&str>,
    ) -> Result<Answer, Miss> {
        let mut last = Miss::new("no server runs");
        for door in doors(&self.bed)? {
            let is_running = self.bed.node(&door.server)?.state() == ProcessState::Running;
            if !is_running || but == Some(door.server.as_str()) {
                continue;
            }
            match door.ask(path, body, limit) {
                Ok(answer) if (200..300).contains(&answer.status) => return Ok(answer),
                Ok(answer) => last = Miss::new(format!("{} said {}", door.server, answer.detail())),
                Err(miss) => last = miss,
            }
        }
        Err(last)
    }

    /// What one server answers.
    ///
    /// # Errors
    /// When it does not.
    pub fn ask_at(&self, server: &str, path: &str, body: Option<&Value>) -> Result<Answer, Miss> {
        let door = doors(&self.bed)?.into_iter().find(|door| door.server == server);
        door.ok_or_else(|| Miss::new(format!("{server} has no door")))?.ask(path, body, 10 * PATIENCE)
    }

    /// Waits for an answer to `look`; gives it with the time since the wait began.
    ///
    /// # Errors
    /// When there is none within `limit`.
    pub fn until<T>(
        &self,
        what: &str,
        limit: Duration,
        mut look: impl FnMut(&Self) -> Result<T, Miss>,
    ) -> Result<(T, Duration), Miss> {
        let (begin, limit, mut said) = (Instant::now(), limit * self.slack, String::new());
        let found = wait::within(limit, || look(self).map_err(|miss| said = miss.to_string()).ok());
        let found = found.ok_or_else(|| Miss::new(format!("{what}: not within {limit:?}: {said}")))?;
        Ok((found, begin.elapsed()))
    }

    /// All servers and agents, as whoever leads sees them; without the simulated ones, of which there are too many to ask
    /// for them again and again.
    ///
    /// # Errors
    /// When no server tells.
    pub fn nodes(&self) -> Result<Vec<Value>, Miss> {
        let told = |path: &str| Ok(self.ask(path)?.body.as_array().cloned().unwrap_or_default());
        if self.herd.is_none() {
            return told("/api/v1/nodes");
        }
        let names = self.names(Role::Server).into_iter().chain(self.names(Role::Agent));
        let each = names.map(|name| told(&format!("/api/v1/nodes/{name}")));
        Ok(each.collect::<Result<Vec<_>, Miss>>()?.into_iter().flatten().collect())
    }

    /// The server that leads, and runs.
    ///
    /// # Errors
    /// When none does for long.
    pub fn leader(&self) -> Result<String, Miss> {
        let (leader, _) = self.until("a server leads", START, |stage| {
            let nodes = stage.nodes()?;
            let leader = nodes.iter().find(|node| node["leader"] == true);
            let name =
                leader.and_then(|node| node["name"].as_str()).ok_or_else(|| Miss::new("none leads"))?;
            match stage.bed.node(name)?.state() {
                ProcessState::Running => Ok(name.to_owned()),
                _ => Err(Miss::new(format!("{name} is said to lead and does not run"))),
            }
        })?;
        Ok(leader)
    }

    /// Waits until a node is in that state.
    ///
    /// # Errors
    /// When it is not within `limit`.
    pub fn node_is(&self, name: &str, state: &str, limit: Duration) -> Result<Duration, Miss> {
        let (_, took) = self.until(&format!("{name} is {state}"), limit, |stage| {
            let nodes = stage.nodes()?;
            let node = nodes.iter().find(|node| node["name"] == name);
            let is = node.map_or("unknown", |node| node["state"].as_str().unwrap_or_default());
            if is == state { Ok(()) } else { Err(Miss::new(format!("it is {is}"))) }
        })?;
        Ok(took)
    }

    /// Waits until an agent that was started again has opened its door and is ready. Servers that have not missed it yet
    /// say that it is ready all the while.
    ///
    /// # Errors
    /// When it is not within `limit`, each.
    pub fn returned(&self, agent: &str, limit: Duration) -> Result<Duration, Miss> {
        let (door, client) = (router(self.bed.node(agent)?), self.bed.client());
        let (_, open) = self.until(&format!("{agent} routes"), limit, |_| {
            client.connect(door, PATIENCE).map(drop).map_err(|error| Miss::new(error.to_string()))
        })?;
        Ok(open + self.node_is(agent, "ready", limit)?)
    }

    /// Instances of the users' service, as they are told.
    ///
    /// # Errors
    /// When no server tells.
    pub fn instances(&self) -> Result<Vec<Value>, Miss> {
        let all = self.ask("/api/v1/instances")?;
        let all = all.body.as_array().cloned().unwrap_or_default();
        Ok(all.into_iter().filter(|one| one["service"] == "web").collect())
    }

    /// Tasks of the users' service that run, with their processes.
    ///
    /// # Errors
    /// When one of them has no process.
    pub fn tasks(&self) -> Result<Tasks, Miss> {
        let task = |one: Value| {
            let pid = one["pid"].as_u64().and_then(|pid| u32::try_from(pid).ok());
            let process = pid.and_then(ProcessId::of).filter(ProcessId::is_alive);
            let process = process.ok_or_else(|| Miss::new(format!("it has no process: {one}")))?;
            let text = |key: &str| one[key].as_str().unwrap_or_default().to_owned();
            Ok((text("task"), (text("agent"), process)))
        };
        Ok(Tasks(self.instances()?.into_iter().map(task).collect::<Result<_, Miss>>()?))
    }

    /// That no task was ended or replaced, nor added.
    ///
    /// # Errors
    /// Which one was.
    pub fn untouched(&self, before: &Tasks) -> Result<(), Miss> {
        before.alive()?;
        let (now, _) = self.until("the tasks are told", START, |stage| stage.tasks())?;
        if now == *before { Ok(()) } else { Err(Miss::new(format!("tasks were {before:?} and are {now:?}"))) }
    }

    /// Waits for the first write that was asked for after `fault`.
    ///
    /// # Errors
    /// When it takes longer than `limit`.
    pub fn first_write(&self, fault: Instant, limit: Duration) -> Result<Duration, Miss> {
        let rest = (fault + limit + PATIENCE).saturating_duration_since(Instant::now());
        let limit = limit * self.slack;
        let nobody = || Miss::new(self.register.refusals(fault).join("; "));
        let look = |stage: &Self| stage.register.first_after(fault).ok_or_else(nobody);
        let (took, _) = self.until("a write is acknowledged", rest, look)?;
        if took <= limit {
            return Ok(took);
        }
        let said = self.register.refusals(fault).join("; ");
        Err(Miss::new(format!("the first write was acknowledged after {took:.2?}, not {limit:?}: {said}")))
    }

    /// Waits until everything is as it should be: one leads, all nodes are ready, all instances are healthy, writes are
    /// taken. Gives how long that took.
    ///
    /// # Errors
    /// What is not so within `limit`.
    pub fn settle(&self, limit: Duration) -> Result<Duration, Miss> {
        let begin = Instant::now();
        let (_, took) = self.until("service is normal again", limit, |stage| stage.is_normal(begin))?;
        Ok(took)
    }

    fn is_normal(&self, begin: Instant) -> Result<(), Miss> {
        let nodes = self.nodes()?;
        let not_ready = nodes.iter().find(|node| node["state"] != words::READY);
        if let Some(node) = not_ready {
            return Err(Miss::new(format!("{} is {}", node["name"], node["state"])));
        }
        let known: BTreeSet<&str> = nodes.iter().filter_map(|node| node["name"].as_str()).collect();
        let ours = self.names(Role::Server).into_iter().chain(self.names(Role::Agent));
        for name in ours {
            if !known.contains(name.as_str()) {
                return Err(Miss::new(format!("{name} is not known")));
            }
        }
        if nodes.iter().filter(|node| node["leader"] == true).count() != 1 {
            return Err(Miss::new("not one server leads"));
        }
        let instances = self.instances()?;
        let healthy = instances.iter().filter(|one| one["healthy"] == true).count();
        if healthy != WISH || instances.len() != WISH {
            return Err(Miss::new(format!("{healthy} of {} instances are healthy", instances.len())));
        }
        let first = self.register.first_after(begin);
        first
            .map(drop)
            .ok_or_else(|| Miss::new(format!("no write: {}", self.register.refusals(begin).join("; "))))
    }

    /// Ends users and clients and judges what they have seen, then takes everything away.
    ///
    /// # Errors
    /// What they should not have seen, or what is left behind.
    pub fn end(mut self) -> Result<String, Miss> {
        let tally = self.register.end()?;
        let requests = self.requests.end(&self.may_fail)?;
        drop(self.herd.take());
        self.bed.down()?;
        Ok(format!(
            "{requests} requests, {} writes ({} of unknown outcome), {} reads",
            tally.acknowledged + tally.unknown,
            tally.unknown,
            tally.reads
        ))
    }
}

/// Where an agent routes requests.
fn router(agent: &Node) -> SocketAddr {
    SocketAddr::from((agent.address, words::ROUTER_PORT))
}

/// Of all servers.
fn doors(bed: &Bed) -> Result<Vec<Door>, Miss> {
    let door = |node: &&Node| {
        let url = node.doors.get("api")?.strip_prefix("http://")?;
        let at = url.trim_end_matches('/').parse().ok()?;
        Some(Door { server: node.name.clone(), network: node.network(), at })
    };
    let servers = bed.nodes(Role::Server);
    let found: Vec<Door> = servers.iter().filter_map(door).collect();
    if found.is_empty() { Err(Miss::new("no server has a door")) } else { Ok(found) }
}

fn load_image(bed: &Bed) -> Result<(), Miss> {
    let archive = bed.record().directory.join("busybox.tar");
    image::busybox(&archive);
    kogge(bed, "s1", &["image", "load", &archive.to_string_lossy(), "--name", IMAGE]).map(drop)
}

/// Runs the program on a server's machine, to its end.
///
/// # Errors
/// What it said, when it failed.
pub fn kogge(bed: &Bed, server: &str, words: &[&str]) -> Result<String, Miss> {
    let node = bed.node(server)?;
    let mut command = node.network().command(bed.record().directory.join("bin/kogge"));
    command.args(words).env(words::DATA, &node.data).env_remove(words::API);
    Ok(output(&mut command)?)
}

fn deploy_web(door: &Door) -> Result<(), Miss> {
    let web = json!({
        "name": "web", "image": IMAGE, "command": SERVE, "instances": WISH, "ports": [8080],
        "cpu_millis": 50, "mem_bytes": 16 << 20, "health": {"check": "tcp"}
    });
    // A server that is refused the lead just then has changed nothing.
    let ask = || door.ask("/api/v1/deployments", Some(&web), START);
    let is_done = |asked: &Result<Answer, Miss>| !matches!(asked, Ok(answer) if answer.status == 503);
    let answer = wait::within(START, || Some(ask()).filter(is_done)).unwrap_or_else(ask)?;
    if answer.status == 200 { Ok(()) } else { Err(Miss::new(format!("web: {}", answer.detail()))) }
}
