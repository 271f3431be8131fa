//! A day of many agents on wires that lose packets: nobody dies, so nobody may be given up.
//!
//! The true cores of agents, kernel and services; nothing else goes wrong. What a lost packet does is TCP's business
//! (`stream.rs`).

use std::time::Duration;

use kogge_kernel as kernel;
use kogge_model::id::{AgentId, ClusterId, RevisionId, TaskId, Term};
use kogge_model::link::{FromAgent, FromControl, ToControl};
use kogge_model::task::Exit;
use kogge_model::time::Timestamp;
use kogge_node::{self as node, Node, NodeConfig};
use kogge_services::{self as services, Change};

use crate::chance::{Chance, Purpose};
use crate::machine::{BEGINNING, one_of_many};
use crate::pair::{Pair, Said};
use crate::placing::wanted;
use crate::schedule::Schedule;
use crate::stream::{Backoff, Stream};

/// Agents come one after the other within this time.
const MORNING_MS: u64 = 2_000;
/// Services are wanted when all agents are there.
const WANTED_AFTER: Duration = Duration::from_secs(10);
/// The instances of one service.
const SERVICE_SIZE: u32 = 200;
/// From the order to run something to the word that it runs.
const START: Duration = Duration::from_millis(100);

/// What is to be lived through.
#[derive(Debug, Clone, Copy)]
pub struct Day {
    /// What everything is drawn from.
    pub seed: u64,
    /// How many agents.
    pub agents: usize,
    /// How many instances they run together.
    pub instances: u32,
    /// For how long.
    pub time: Duration,
    /// In thousandths of all packets, either way.
    pub lost_permille: u64,
    /// How connections wait before they send again.
    pub backoff: Backoff,
}

/// How it went.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Evening {
    /// Signs of life that reached the server.
    pub heartbeats: u64,
    /// Tasks that were started: more than there are instances when something was replaced.
    pub starts: u64,
    /// How often an agent got nothing new for a while because it was silent.
    pub suspected: u64,
    /// How often an agent was given up, each time wrongly.
    pub given_up: u64,
    /// The longest time without a word from an agent that had registered.
    pub longest_silence: Duration,
}

enum Event {
    Wake(usize),
    ToServer(usize, Box<ToControl>),
    ToAgent(usize, Box<FromControl>),
    ToNode(usize, Box<node::Input>),
    Wanted,
}

struct Machine {
    id: AgentId,
    node: Node,
    /// When the next [`Event::Wake`] that counts is due.
    wakes_at: Option<Timestamp>,
    heard_at: Option<Timestamp>,
    to_server: Stream,
    to_agent: Stream,
}

struct World {
    day: Day,
    now: Timestamp,
    cluster: ClusterId,
    chance: Chance,
    schedule: Schedule<Event>,
    machines: Vec<Machine>,
    pair: Pair,
    evening: Evening,
}

/// Lives through it.
#[must_use]
pub fn live(day: Day) -> Evening {
    let mut world = World::new(day);
    let end = BEGINNING.plus(day.time);
    while let Some((at, is_server)) = world.next().filter(|(at, _)| *at <= end) {
        world.now = world.now.max(at);
        if is_server {
            let said = world.pair.tick(world.now);
            world.say(said);
        } else if let Some(event) = world.schedule.pop() {
            world.happen(event);
        }
    }
    world.evening
}

impl World {
    fn new(day: Day) -> Self {
        let cluster = ClusterId::new("day");
        let mut chance = Chance::new(day.seed, Purpose::Network);
        let mut schedule = Schedule::default();
        let mut machines = Vec::with_capacity(day.agents);
        for index in 0..day.agents {
            let info = one_of_many(index);
            let id = info.agent.clone();
            let config = NodeConfig::new(info, "boot-1");
            let at = BEGINNING.plus(chance.millis(0, MORNING_MS));
            schedule.at(at, Event::ToNode(index, Box::new(node::Input::LinkUp)));
            machines.push(Machine {
                id,
                node: Node::new(config, chance.seed()),
                wakes_at: None,
                heard_at: None,
                to_server: Stream::default(),
                to_agent: Stream::default(),
            });
        }
        schedule.at(BEGINNING.plus(WANTED_AFTER), Event::Wanted);
        let pair = Pair::new(BEGINNING, cluster.clone());
        Self { day, now: BEGINNING, cluster, chance, schedule, machines, pair, evening: Evening::default() }
    }

    /// What is next, and whether that is the server's.
    fn next(&self) -> Option<(Timestamp, bool)> {
        let event = self.schedule.first().map(|at| (at, false));
        let server = self.pair.next_wakeup().map(|at| (at, true));
        [event, server].into_iter().flatten().min()
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Wake(index) => {
                if self.machines[index].wakes_at.is_some_and(|at| at <= self.now) {
                    self.machines[index].wakes_at = None;
                    self.tell(index, node::Input::Tick);
                }
            }
            Event::ToNode(index, input) => self.tell(index, *input),
            Event::ToAgent(index, message) => self.tell(index, node::Input::FromControl(*message)),
            Event::ToServer(index, body) => self.hear(index, *body),
            Event::Wanted => {
                let change = Change::Whole(wanted(self.day.instances, SERVICE_SIZE));
                let desired = services::Input::Desired { revision: RevisionId(1), change };
                let said = self.pair.tell_services(self.now, desired);
                self.say(said);
            }
        }
    }

    fn hear(&mut self, index: usize, body: ToControl) {
        let machine = &mut self.machines[index];
        if let Some(before) = machine.heard_at.replace(self.now) {
            let silence = self.now.saturating_since(before);
            self.evening.longest_silence = self.evening.longest_silence.max(silence);
        }
        self.evening.heartbeats += u64::from(matches!(body, ToControl::Heartbeat));
        let message = FromAgent { agent: self.machines[index].id.clone(), body };
        let said = self.pair.tell_kernel(self.now, kernel::Input::FromAgent(message));
        self.say(said);
    }

    fn say(&mut self, said: Said) {
        self.evening.given_up += said.given_up;
        self.evening.suspected += said.suspected;
        for (agent, body) in said.outbox {
            let number = agent.as_str().rsplit('-').next().and_then(|number| number.parse().ok());
            let index: usize = number.expect("each agent has its number in its name");
            let (lost, backoff) = (self.day.lost_permille, self.day.backoff);
            let at = self.machines[index].to_agent.arrival(self.now, &mut self.chance, lost, backoff);
            let message = FromControl { cluster: self.cluster.clone(), term: Term(1), body };
            self.schedule.at(at, Event::ToAgent(index, Box::new(message)));
        }
    }

    fn tell(&mut self, index: usize, input: node::Input) {
        let mut effects = Vec::new();
        self.machines[index].node.handle(self.now, input, &mut effects);
        for effect in effects {
            self.perform(index, effect);
        }
        let machine = &mut self.machines[index];
        let Some(due) = machine.node.next_wakeup() else { return };
        if machine.wakes_at.is_none_or(|at| due < at) {
            machine.wakes_at = Some(due);
            self.schedule.at(due, Event::Wake(index));
        }
    }

    /// Containers do what they are told, at once or nearly so.
    fn perform(&mut self, index: usize, effect: node::Effect) {
        use node::{Effect, Input};
        let answer = match effect {
            Effect::Send(body) => {
                let (lost, backoff) = (self.day.lost_permille, self.day.backoff);
                let at = self.machines[index].to_server.arrival(self.now, &mut self.chance, lost, backoff);
                if at <= self.now {
                    return self.hear(index, body);
                }
                return self.schedule.at(at, Event::ToServer(index, Box::new(body)));
            }
            Effect::Start { spec, .. } => {
                self.evening.starts += 1;
                let at = self.now.plus(START);
                let ip = std::net::IpAddr::from([10, 0, 0, 1]);
                Input::Started { task: spec.task.clone(), pid: 1, started_at: at, ip }
            }
            Effect::Signal { task, .. } => self.ended(task),
            Effect::MakeSure(task) => Input::Gone { task },
            Effect::Collect(task) => Input::Collected { task },
            _ => return,
        };
        self.schedule.at(self.now.plus(START), Event::ToNode(index, Box::new(answer)));
    }

    fn ended(&self, task: TaskId) -> node::Input {
        node::Input::Exited { task, exit: Exit::Signal { signal: 15 }, at: self.now, oom_kills: 0 }
    }
}
