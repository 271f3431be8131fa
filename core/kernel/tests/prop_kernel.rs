//! Safety always, liveness when nothing interferes: random calls, words, losses, repeats, restarts.

mod world;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use kogge_kernel::{Input, Instruction, Quantities};
use kogge_model::id::{OfferId, RunId, TaskId};
use kogge_model::link::{ToAgent, ToControl};
use kogge_model::resources::Resources;
use kogge_model::scheduler::{Call, Event};
use kogge_model::task::{Outcome, TaskState, TaskStatus};
use proptest::prelude::*;
use world::{World, agent, ended, fw, running, size, spec};

#[derive(Debug, Clone)]
enum Step {
    /// A framework launches tasks of these sizes on its nth offer, sometimes on too little.
    Accept {
        framework: usize,
        offer: usize,
        cpus: Vec<u64>,
    },
    Decline {
        framework: usize,
        offer: usize,
        refuse_s: u64,
    },
    Revive(usize),
    Suppress(usize),
    Kill {
        framework: usize,
        task: usize,
    },
    Leave(usize),
    Subscribe(usize),
    /// The nth message on its way to an agent arrives (and may arrive again), or is lost.
    Deliver {
        message: usize,
        is_kept: bool,
    },
    Lose(usize),
    /// An agent's nth task moves on.
    Advance {
        agent: usize,
        task: usize,
    },
    /// An agent repeats all it has to say.
    Speak(usize),
    Register(usize),
    /// The frameworks read their events and acknowledge.
    Read,
    Pass(u64),
    RestartServer,
    /// An operator speaks of an agent.
    Instruct {
        agent: usize,
        what: u8,
    },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..2usize, 0..4usize, prop::collection::vec(1..700u64, 1..4))
            .prop_map(|(framework, offer, cpus)| Step::Accept { framework, offer, cpus }),
        2 => (0..2usize, 0..4usize, 0..8u64)
            .prop_map(|(framework, offer, refuse_s)| Step::Decline { framework, offer, refuse_s }),
        1 => (0..2usize).prop_map(Step::Revive),
        1 => (0..2usize).prop_map(Step::Suppress),
        2 => (0..2usize, 0..8usize).prop_map(|(framework, task)| Step::Kill { framework, task }),
        1 => (0..2usize).prop_map(Step::Leave),
        2 => (0..2usize).prop_map(Step::Subscribe),
        8 => (0..9usize, any::<bool>()).prop_map(|(message, is_kept)| Step::Deliver { message, is_kept }),
        1 => (0..9usize).prop_map(Step::Lose),
        6 => (0..3usize, 0..4usize).prop_map(|(agent, task)| Step::Advance { agent, task }),
        4 => (0..3usize).prop_map(Step::Speak),
        2 => (0..3usize).prop_map(Step::Register),
        4 => Just(Step::Read),
        3 => (1..4_000u64).prop_map(Step::Pass),
        1 => Just(Step::RestartServer),
        2 => (0..3usize, 0..4u8).prop_map(|(agent, what)| Step::Instruct { agent, what }),
    ]
}

/// A simple agent: knows its tasks and what was acknowledged, forgets nothing.
#[derive(Default)]
struct Machine {
    tasks: BTreeMap<TaskId, (TaskStatus, Option<Resources>)>,
    settled: BTreeMap<TaskId, u64>,
}

impl Machine {
    fn hear(&mut self, name: &str, message: &ToAgent) {
        match message {
            ToAgent::Launch { run, spec } => {
                let status = made(name, &spec.task, *run, TaskState::Starting);
                self.tasks.entry(spec.task.clone()).or_insert((status, Some(spec.resources.clone())));
            }
            ToAgent::Kill { task, run, .. } => {
                let (status, _) = self
                    .tasks
                    .entry(task.clone())
                    .or_insert_with(|| (made(name, task, *run, ended(Outcome::Killed)), None));
                if !status.state.is_terminal() {
                    status.sequence += 1;
                    status.state = ended(Outcome::Killed);
                }
            }
            ToAgent::Acknowledge { task, sequence, .. } => {
                let settled = self.settled.entry(task.clone()).or_insert(0);
                *settled = (*settled).max(*sequence);
            }
            ToAgent::Registered | ToAgent::Unknown | ToAgent::GrantLease { .. } => {}
        }
    }

    fn is_settled(&self, status: &TaskStatus) -> bool {
        self.settled.get(&status.task).is_some_and(|sequence| *sequence >= status.sequence)
    }

    fn unsettled(&self) -> Vec<TaskStatus> {
        self.tasks
            .values()
            .map(|(status, _)| status)
            .filter(|status| !self.is_settled(status))
            .cloned()
            .collect()
    }

    fn known(&self) -> Vec<TaskStatus> {
        let is_told = |status: &&TaskStatus| !status.state.is_terminal() || !self.is_settled(status);
        self.tasks.values().map(|(status, _)| status).filter(is_told).cloned().collect()
    }
}

fn made(name: &str, task: &TaskId, run: RunId, state: TaskState) -> TaskStatus {
    let at = kogge_model::time::Timestamp::ZERO;
    TaskStatus { task: task.clone(), run, agent: agent(name), sequence: 1, at, state, reason: "test".into() }
}

struct Run {
    world: World,
    machines: BTreeMap<String, Machine>,
    used_offers: BTreeSet<OfferId>,
    runs: BTreeMap<RunId, TaskId>,
    minted: u64,
    ends_told: BTreeMap<TaskId, u32>,
}

const FRAMEWORKS: [&str; 2] = ["a", "b"];
const AGENTS: [&str; 3] = ["m0", "m1", "m2"];

impl Run {
    fn new() -> Self {
        let mut run = Self {
            world: World::new(),
            machines: AGENTS.iter().map(|name| ((*name).to_owned(), Machine::default())).collect(),
            used_offers: BTreeSet::new(),
            runs: BTreeMap::new(),
            minted: 0,
            ends_told: BTreeMap::new(),
        };
        for name in FRAMEWORKS {
            run.world.subscribe(name);
        }
        for name in AGENTS {
            run.register(name);
        }
        run
    }

    fn register(&mut self, name: &str) {
        let machine = &self.machines[name];
        let held: Vec<(String, Resources)> = machine
            .tasks
            .values()
            .filter(|(status, _)| !status.state.is_terminal())
            .filter_map(|(status, resources)| Some((status.task.to_string(), resources.clone()?)))
            .collect();
        let held: Vec<(&str, Resources)> =
            held.iter().map(|(task, size)| (task.as_str(), size.clone())).collect();
        self.world.register_with(name, size(1000, &[(31_000, 31_009)]), machine.known(), &held);
    }

    fn take(&mut self, step: &Step) {
        let world = &mut self.world;
        match step {
            Step::Accept { framework, offer, cpus } => {
                let name = FRAMEWORKS[*framework];
                let Some(offer) = world.offers(name).get(*offer).map(|offer| offer.id) else { return };
                let launches = cpus.iter().map(|cpu| {
                    self.minted += 1;
                    let port = 31_000 + u16::try_from(cpu % 10).expect("it is below 10");
                    spec(&format!("t{}", self.minted), *cpu, &[port])
                });
                let launches = launches.collect();
                world.accept(name, &[offer], launches);
                let is_taken = world.kernel.view().offers().all(|open| open.id != offer);
                assert!(!is_taken || self.used_offers.insert(offer), "an offer was used twice");
            }
            Step::Decline { framework, offer, refuse_s } => {
                let name = FRAMEWORKS[*framework];
                let Some(offer) = world.offers(name).get(*offer).map(|offer| offer.id) else { return };
                world.call(
                    name,
                    Call::Decline { offers: vec![offer], refuse: Duration::from_secs(*refuse_s) },
                );
            }
            Step::Revive(framework) => world.call(FRAMEWORKS[*framework], Call::Revive),
            Step::Suppress(framework) => world.call(FRAMEWORKS[*framework], Call::Suppress),
            Step::Kill { framework, task } => {
                let Some(task) = world.store.tasks.keys().nth(*task).cloned() else { return };
                world.call(FRAMEWORKS[*framework], Call::Kill { task, grace: None, reason: "test".into() });
            }
            Step::Leave(framework) => {
                world.handle(Input::FrameworkGone { framework: fw(FRAMEWORKS[*framework]) })
            }
            Step::Subscribe(framework) => world.subscribe_with(FRAMEWORKS[*framework], 1000, u64::MAX),
            Step::Deliver { message, is_kept } => self.deliver(*message, *is_kept),
            Step::Lose(message) => {
                if *message < world.orders.len() {
                    world.orders.remove(*message);
                }
            }
            Step::Advance { agent, task } => self.advance(AGENTS[*agent], *task),
            Step::Speak(agent) => self.speak(AGENTS[*agent]),
            Step::Register(agent) => self.register(AGENTS[*agent]),
            Step::Read => self.read(),
            Step::Pass(ms) => world.pass(Duration::from_millis(*ms), &AGENTS[1..]),
            Step::RestartServer => self.restart_server(),
            Step::Instruct { agent: index, what } => {
                let label = |value: Option<&str>| {
                    Instruction::Label([("zone".to_owned(), value.map(str::to_owned))].into())
                };
                let instruction = match what {
                    0 => Instruction::Drain("test".into()),
                    1 => Instruction::Undrain,
                    2 => label(Some("a")),
                    _ => label(None),
                };
                world.handle(Input::FromOperator { agent: agent(AGENTS[*index]), instruction });
            }
        }
    }

    fn machine(&mut self, name: &str) -> &mut Machine {
        self.machines.get_mut(name).expect("orders go to agents that exist")
    }

    fn deliver(&mut self, message: usize, is_kept: bool) {
        let orders = &mut self.world.orders;
        if message >= orders.len() {
            return;
        }
        let (to, order) = orders[message].clone();
        if !is_kept {
            orders.remove(message);
        }
        if let ToAgent::Launch { run, spec } = &order {
            let first = self.runs.entry(*run).or_insert_with(|| spec.task.clone());
            assert_eq!(*first, spec.task, "run {run} was minted twice");
        }
        self.machine(to.as_str()).hear(to.as_str(), &order);
    }

    fn advance(&mut self, name: &str, task: usize) {
        let machine = self.machine(name);
        let mut living = machine.tasks.values_mut().filter(|(status, _)| !status.state.is_terminal());
        if let Some((status, _)) = living.nth(task) {
            status.state = match status.state {
                TaskState::Starting => running(),
                _ => ended(Outcome::Finished),
            };
            status.sequence += 1;
        }
    }

    fn speak(&mut self, name: &str) {
        for status in self.machines[name].unsettled() {
            self.world.say(name, ToControl::Status(status));
        }
        self.world.say(name, ToControl::Heartbeat);
    }

    fn read(&mut self) {
        for (framework, event) in std::mem::take(&mut self.world.events) {
            let Event::Update(status) = event else { continue };
            if status.state.is_terminal() && status.run != RunId::default() {
                *self.ends_told.entry(status.task.clone()).or_insert(0) += 1;
            }
            if status.sequence > 0 {
                self.world.acknowledge(framework.as_str(), status.task.as_str(), status.sequence);
            }
        }
    }

    fn restart_server(&mut self) {
        let (orders, term) = (std::mem::take(&mut self.world.orders), self.world.now.as_micros());
        let mut next = World::with(self.world.store.clone(), 2 + term % 7);
        next.now = next.now.max(self.world.now);
        next.kernel = kogge_kernel::Kernel::restore(next.now, world::config(term), next.store.records());
        next.orders = orders;
        self.world = next;
    }

    fn check(&self) {
        let view = self.world.kernel.view();
        for known in view.agents() {
            let mut sum = known.held();
            let mut ports = known.free().ports;
            for offer in view.offers().filter(|offer| *offer.agent == known.info().agent) {
                sum = plus(sum, offer.resources);
                for port in offer.resources.ports.iter() {
                    assert!(ports.insert(port), "port {port} is free and offered");
                }
            }
            let total = &known.info().resources;
            let is_over = sum.cpu_millis > total.cpu_millis || sum.mem_bytes > total.mem_bytes;
            assert!(!is_over && !known.is_over_committed(), "{sum:?} of {total}");
            let is_offered = view.offers().any(|offer| *offer.agent == known.info().agent);
            assert!(!is_offered || known.rules().drain.is_none(), "a drained agent is offered");
            let kept = self.world.store.agents.get(&known.info().agent).map(|record| &record.rules);
            assert_eq!(kept, Some(known.rules()), "what operators say is kept");
            let free = known.free();
            assert_eq!(sum.cpu_millis.0 + free.cpu_millis.0, total.cpu_millis.0, "something leaked");
        }
        for known in view.frameworks() {
            let mut sum = Quantities::default();
            let own = |record: &&kogge_kernel::TaskRecord| record.framework == known.info.framework;
            for record in view.tasks().filter(own).filter(|record| record.is_live()) {
                sum = plus(sum, &record.spec.resources);
            }
            for offer in view.offers().filter(|offer| *offer.framework == known.info.framework) {
                sum = plus(sum, offer.resources);
            }
            assert_eq!(sum, known.allocated);
        }
        let kept: Vec<_> = self.world.store.tasks.values().collect();
        assert_eq!(view.tasks().collect::<Vec<_>>(), kept, "the store has what the kernel knows");
    }

    /// Nothing interferes any more: everything is delivered and read until nobody has anything to say.
    fn settle(&mut self) {
        for name in FRAMEWORKS {
            self.world.subscribe_with(name, 1000, u64::MAX);
        }
        for _ in 0..12 {
            for name in AGENTS {
                self.register(name);
                self.speak(name);
            }
            self.read();
            self.world.pass(Duration::from_secs(1), &AGENTS);
            for _ in 0..self.world.orders.len() {
                self.deliver(0, false);
            }
        }
    }
}

fn plus(sum: Quantities, more: &Resources) -> Quantities {
    let mut sum = sum;
    sum.cpu_millis.0 += more.cpu_millis.0;
    sum.mem_bytes.0 += more.mem_bytes.0;
    sum.disk_bytes.0 += more.disk_bytes.0;
    sum
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, max_shrink_iters: 4000, ..ProptestConfig::default() })]
    #[test]
    fn nothing_is_over_committed_lost_or_left_unacknowledged(steps in prop::collection::vec(step(), 1..150)) {
        let mut run = Run::new();
        for step in &steps {
            run.take(step);
            run.check();
        }
        run.settle();
        run.check();
        for (name, machine) in &run.machines {
            prop_assert_eq!(machine.unsettled(), vec![], "{} waits for acknowledgements", name);
            for (status, _) in machine.tasks.values().filter(|(status, _)| !status.state.is_terminal()) {
                let record = run.world.kernel.view().task(&status.task);
                prop_assert_eq!(record.map(|record| &record.status.state), Some(&status.state));
            }
        }
        for record in run.world.kernel.view().tasks() {
            let machine = &run.machines[record.status.agent.as_str()];
            prop_assert!(machine.tasks.contains_key(&record.spec.task), "{} never arrived", record.spec.task);
        }
    }
}
