//! The world: one thread, one clock, one queue of what will happen.

use std::collections::BTreeSet;
use std::time::Duration;

use kogge_model::id::{AgentId, ClusterId, TaskId};
use kogge_model::link::{FromAgent, FromControl};
use kogge_model::time::Timestamp;
use kogge_node as node;

use crate::chance::{Chance, Purpose};
use crate::check::Checks;
use crate::machine::{BEGINNING, Machine, Size};
use crate::network::Network;
use crate::sabotage::{Sabotage, Trick};
use crate::scenario::Scenario;
use crate::schedule::Schedule;
use crate::server::Server;
use crate::store::Store;
use crate::trace::Trace;

/// Something that will happen.
#[derive(Debug, Clone)]
pub(crate) enum Event {
    ToServer {
        machine: usize,
        boot: u32,
        message: FromAgent,
    },
    /// Comes to nothing when its session ended with the boot that began it.
    ToAgent {
        machine: usize,
        boot: u32,
        message: FromControl,
    },
    /// Reaches the agent process that asked for it, if that still lives.
    ToNode {
        machine: usize,
        process: u32,
        input: node::Input,
    },
    Container {
        machine: usize,
        boot: u32,
        task: TaskId,
        change: Change,
    },
    BootServer,
    BootAgent {
        machine: usize,
    },
    Drained(TaskId),
    Command,
    Operator,
    /// Somebody looks after a machine that never comes back.
    Retire {
        machine: usize,
    },
    Fault,
}

/// Something that happens to a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change {
    /// The start is over, well or not.
    Started,
    /// The program ends by itself.
    Ends { code: i32 },
    /// It ends because it was told to.
    Obeys { signal: i32 },
    /// The lease of a single copy may be over.
    LeaseEnds,
}

/// Everything.
pub(crate) struct World {
    pub(crate) scenario: Scenario,
    pub(crate) now: Timestamp,
    pub(crate) schedule: Schedule<Event>,
    pub(crate) cluster: ClusterId,
    pub(crate) store: Store,
    pub(crate) server: Option<Server>,
    pub(crate) server_paused_until: Timestamp,
    pub(crate) machines: Vec<Machine>,
    pub(crate) network: Network,
    pub(crate) checks: Checks,
    pub(crate) sabotage: Sabotage,
    pub(crate) trace: Trace,
    pub(crate) chances: Chances,
    /// People and faults act.
    pub(crate) is_troubled: bool,
    /// Tasks for whose end nothing but forgetfulness could be the reason.
    pub(crate) untouchable: BTreeSet<TaskId>,
    pub(crate) tally: Tally,
}

/// A generator for each purpose.
pub(crate) struct Chances {
    pub(crate) containers: Chance,
    pub(crate) people: Chance,
    pub(crate) faults: Chance,
    pub(crate) crash_points: Chance,
    pub(crate) cores: Chance,
    pub(crate) operators: Chance,
}

/// What happened in a run, in numbers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Things that happened.
    pub events: u64,
    /// Containers brought up.
    pub starts: u64,
    /// Mishaps, crash points included.
    pub faults: u64,
    /// Changes of the tree.
    pub commands: u64,
    /// Drains, their ends, and labels.
    pub instructions: u64,
    /// Instances that began to move, off drained machines or to emptier ones.
    pub moves: u64,
    /// Deployments that went back.
    pub rollbacks: u64,
    /// Simulated time, in ms.
    pub simulated_ms: u64,
}

macro_rules! note {
    ($world:expr, $($text:tt)*) => {
        $world.trace.note($world.now, &format_args!($($text)*))
    };
}
pub(crate) use note;

impl World {
    pub(crate) fn new(scenario: &Scenario, trick: Trick) -> Self {
        let seed = scenario.seed;
        let size = if scenario.is_tight { Size::Tight } else { Size::Ample };
        let mut world = Self {
            scenario: scenario.clone(),
            now: BEGINNING,
            schedule: Schedule::default(),
            cluster: ClusterId::new("sim"),
            store: Store::default(),
            server: None,
            server_paused_until: Timestamp::ZERO,
            machines: (0..scenario.machines).map(|index| Machine::new(index, size)).collect(),
            network: Network::new(Chance::new(seed, Purpose::Network)),
            checks: Checks::default(),
            sabotage: Sabotage::new(trick),
            trace: Trace::new(BEGINNING),
            chances: Chances {
                containers: Chance::new(seed, Purpose::Containers),
                people: Chance::new(seed, Purpose::People),
                faults: Chance::new(seed, Purpose::Faults),
                crash_points: Chance::new(seed, Purpose::CrashPoints),
                cores: Chance::new(seed, Purpose::Cores),
                operators: Chance::new(seed, Purpose::Operators),
            },
            is_troubled: true,
            untouchable: BTreeSet::new(),
            tally: Tally::default(),
        };
        world.schedule.at(world.now, Event::BootServer);
        for machine in 0..scenario.machines {
            let late = world.chances.faults.millis(0, 2_000);
            world.machines[machine].drift_ppm =
                i64::try_from(world.chances.faults.below(20_001)).expect("small") - 10_000;
            world.schedule.at(world.now.plus(late), Event::BootAgent { machine });
        }
        world.schedule.at(world.now.plus(Duration::from_secs(1)), Event::Command);
        world.schedule.at(world.now.plus(Duration::from_secs(1)), Event::Fault);
        world.schedule.at(world.now.plus(Duration::from_secs(5)), Event::Operator);
        world
    }

    /// Lets things happen until `end`, or until a checker complains.
    pub(crate) fn run_until(&mut self, end: Timestamp) {
        while self.checks.complaint().is_none() {
            let Some((at, turn)) = self.next_turn().filter(|(at, _)| *at <= end) else { break };
            self.now = self.now.max(at);
            self.tally.events += 1;
            match turn {
                Turn::Event => {
                    let event = self.schedule.pop().expect("its time was just read");
                    self.happen(event);
                }
                Turn::Server => self.tick_server(),
                Turn::Machine(machine) => self.tell_node(machine, node::Input::Tick),
            }
        }
        self.now = self.now.max(end);
    }

    fn next_turn(&self) -> Option<(Timestamp, Turn)> {
        let event = self.schedule.first().map(|at| (at, Turn::Event));
        let server = self.server.as_ref().and_then(Server::next_wakeup);
        let server = server.map(|at| (at.max(self.server_paused_until), Turn::Server));
        let machines = self.machines.iter();
        let machines =
            machines.filter_map(|machine| Some((machine.next_wakeup()?, Turn::Machine(machine.index))));
        machines.chain(event).chain(server).min_by_key(|(at, turn)| (*at, *turn))
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::ToServer { machine, boot, message } => self.hear_agent(machine, boot, message),
            Event::ToAgent { machine, boot, message } => {
                if self.machines[machine].boot == boot {
                    self.hear_server(machine, message);
                }
            }
            Event::ToNode { machine, process, input } => {
                if self.machines[machine].process == process {
                    self.tell_node(machine, input);
                }
            }
            Event::Container { machine, boot, task, change } => {
                if self.machines[machine].boot == boot {
                    self.change_container(machine, &task, change);
                }
            }
            Event::BootServer => self.boot_server(),
            Event::BootAgent { machine } => self.boot_agent(machine),
            Event::Drained(task) => self.drained(task),
            Event::Command => self.command(),
            Event::Operator => self.operate(),
            Event::Retire { machine } => self.retire(machine),
            Event::Fault => self.mishap(),
        }
    }

    pub(crate) fn machine_of(&self, agent: &AgentId) -> Option<usize> {
        self.machines.iter().position(|machine| machine.id() == *agent)
    }

    /// Something is about to happen step by step; whether its process dies before step `len`, and at which.
    pub(crate) fn crash_point(&mut self, len: usize) -> Option<usize> {
        let is_now = self.is_troubled && self.chances.crash_points.is(self.scenario.crash_points);
        is_now.then(|| self.chances.crash_points.index(len + 1))
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Turn {
    Event,
    Server,
    Machine(usize),
}
