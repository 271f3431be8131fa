//! A kernel between hand-made frameworks and agents: keeps what it saves, hands out what it says.

#![allow(dead_code, unreachable_pub, reason = "each test file uses its own part")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use kogge_kernel::{Config, Effect, Effects, Input, Kernel, Records, Stage, TaskRecord};
use kogge_model::agent::AgentInfo;
use kogge_model::id::{AgentId, ClusterId, FrameworkId, OfferId, RunId, TaskId, Term};
use kogge_model::link::{FromAgent, ToAgent, ToControl};
use kogge_model::port::{Port, PortSet};
use kogge_model::resources::{Bytes, CpuMillis, Resources};
use kogge_model::scheduler::{Call, Event, FrameworkInfo, KnownUpdate, Offer};
use kogge_model::task::{Ended, Outcome, PortBinding, Running, TaskSpec, TaskState, TaskStatus};
use kogge_model::template::TaskTemplate;
use kogge_model::time::Timestamp;
use kogge_model::variables::Variables;

pub struct World {
    pub kernel: Kernel,
    pub now: Timestamp,
    pub store: Store,
    pub events: Vec<(FrameworkId, Event)>,
    pub orders: Vec<(AgentId, ToAgent)>,
    pub decisions: Vec<String>,
    pub stepped_down: Option<String>,
}

#[derive(Default, Clone)]
pub struct Store {
    pub agents: BTreeMap<AgentId, kogge_kernel::AgentRecord>,
    pub frameworks: BTreeMap<FrameworkId, kogge_kernel::FrameworkRecord>,
    pub tasks: BTreeMap<TaskId, TaskRecord>,
    pub highest_run: RunId,
}

impl Store {
    pub fn records(&self) -> Records {
        Records {
            agents: self.agents.values().cloned().collect(),
            frameworks: self.frameworks.values().cloned().collect(),
            tasks: self.tasks.values().cloned().collect(),
            highest_run: self.highest_run,
        }
    }

    fn apply(&mut self, effect: Effect) {
        match effect {
            Effect::Save(record) => drop(self.tasks.insert(record.spec.task.clone(), (*record).clone())),
            Effect::Forget(task) => drop(self.tasks.remove(&task)),
            Effect::SaveAgent(record) => drop(self.agents.insert(record.info.agent.clone(), *record)),
            Effect::ForgetAgent(agent) => drop(self.agents.remove(&agent)),
            Effect::SaveFramework(record) => {
                self.frameworks.insert(record.info.framework.clone(), *record);
            }
            Effect::ForgetFramework(framework) => drop(self.frameworks.remove(&framework)),
            Effect::SaveHighestRun(run) => self.highest_run = run,
            Effect::ToFramework { .. }
            | Effect::ToAgent { .. }
            | Effect::StepDown(_)
            | Effect::Explain(_) => {
                panic!("{effect:?} is not for the store")
            }
        }
    }
}

pub fn config(term: u64) -> Config {
    Config { is_founder: term == 1, ..Config::new(ClusterId::new("test"), Term(term)) }
}

pub fn fw(name: &str) -> FrameworkId {
    FrameworkId::new(name)
}

pub fn task(name: &str) -> TaskId {
    TaskId::new(name)
}

pub fn agent(name: &str) -> AgentId {
    AgentId::new(name)
}

pub fn size(cpu: u64, ports: &[(u16, u16)]) -> Resources {
    let ports: PortSet = ports.iter().flat_map(|&(first, last)| first..=last).filter_map(Port::new).collect();
    Resources { cpu_millis: CpuMillis(cpu), mem_bytes: Bytes::mib(cpu), disk_bytes: Bytes::mib(cpu), ports }
}

pub fn spec(name: &str, cpu: u64, ports: &[u16]) -> TaskSpec {
    let pairs: Vec<(u16, u16)> = ports.iter().map(|&port| (port, port)).collect();
    TaskSpec {
        task: task(name),
        instance: None,
        template: Arc::new(TaskTemplate::default()),
        resources: size(cpu, &pairs),
        ports: ports
            .iter()
            .filter_map(|&port| Port::new(port))
            .map(|port| PortBinding { host_port: port, container_port: port })
            .collect(),
        env: Variables::default(),
    }
}

pub fn info(name: &str, resources: Resources) -> AgentInfo {
    AgentInfo {
        agent: agent(name),
        name: name.into(),
        address: std::net::IpAddr::from([10, 0, 0, 1]),
        resources,
        attributes: BTreeMap::from([("agent".to_owned(), name.to_owned())]),
        version: "0".into(),
        closed: None,
    }
}

pub fn running() -> TaskState {
    TaskState::Running(Running {
        pid: 1,
        started_at: Timestamp::ZERO,
        ip: std::net::IpAddr::from([10, 0, 0, 2]),
        health: kogge_model::health::Health::Healthy,
    })
}

pub fn ended(outcome: Outcome) -> TaskState {
    TaskState::Ended(Ended { at: Timestamp::ZERO, outcome, exit: None })
}

impl World {
    pub fn new() -> Self {
        Self::with(Store::default(), 1)
    }

    pub fn with(store: Store, term: u64) -> Self {
        let now = Timestamp::from_secs(1_000 * term);
        let kernel = Kernel::restore(now, config(term), store.records());
        Self { kernel, now, store, events: vec![], orders: vec![], decisions: vec![], stepped_down: None }
    }

    /// The server dies and another one takes over from what was saved.
    pub fn restart(self) -> Self {
        let mut next = Self::with(self.store.clone(), 2);
        next.now = next.now.max(self.now);
        next
    }

    pub fn handle(&mut self, input: Input) {
        let mut effects = Effects::new();
        self.kernel.handle(self.now, input, &mut effects);
        assert!(effects.is_sorted_by_key(Effect::stage), "persist, then send, then acknowledge");
        for effect in effects {
            match effect {
                Effect::ToFramework { framework, event } => self.events.push((framework, event)),
                Effect::ToAgent { agent, message } => self.orders.push((agent, message)),
                Effect::Explain(decision) => {
                    self.decisions.push(format!("{}: {}", decision.verb, decision.reason));
                }
                Effect::StepDown(reason) => self.stepped_down = Some(reason.text),
                other => {
                    assert_eq!(other.stage(), Stage::Persist);
                    self.store.apply(other);
                }
            }
        }
    }

    pub fn call(&mut self, framework: &str, call: Call) {
        self.handle(Input::FromFramework { framework: fw(framework), call });
    }

    pub fn subscribe(&mut self, framework: &str) {
        self.subscribe_with(framework, 1000, 60_000);
    }

    pub fn subscribe_with(&mut self, framework: &str, weight_millis: u64, failover_ms: u64) {
        let name = framework.to_owned();
        self.call(
            framework,
            Call::Subscribe(FrameworkInfo { framework: fw(framework), name, weight_millis, failover_ms }),
        );
    }

    /// It comes back and remembers `known`.
    pub fn resume(&mut self, framework: &str, known: Vec<KnownUpdate>) {
        let name = framework.to_owned();
        let info = FrameworkInfo { framework: fw(framework), name, weight_millis: 1000, failover_ms: 60_000 };
        self.call(framework, Call::Resume { info, known });
    }

    pub fn say(&mut self, name: &str, body: ToControl) {
        self.handle(Input::FromAgent(FromAgent { agent: agent(name), body }));
    }

    pub fn register(&mut self, name: &str, resources: Resources) {
        self.register_with(name, resources, vec![], &[]);
    }

    pub fn register_with(
        &mut self,
        name: &str,
        resources: Resources,
        tasks: Vec<TaskStatus>,
        held: &[(&str, Resources)],
    ) {
        let held = held.iter().map(|(name, resources)| (task(name), resources.clone())).collect();
        let info = info(name, resources);
        self.say(name, ToControl::Register { info, cluster: None, term: Term(0), tasks, held });
    }

    pub fn status(&mut self, name: &str, task_name: &str, sequence: u64, state: TaskState) {
        let status = self.status_of(name, task_name, sequence, state);
        self.say(name, ToControl::Status(status));
    }

    pub fn status_of(&self, name: &str, task_name: &str, sequence: u64, state: TaskState) -> TaskStatus {
        let run = self.kernel.view().task(&task(task_name)).map_or(RunId(900), |record| record.status.run);
        TaskStatus {
            task: task(task_name),
            run,
            agent: agent(name),
            sequence,
            at: self.now,
            state,
            reason: "test".into(),
        }
    }

    pub fn launch(&mut self, framework: &str, launches: Vec<TaskSpec>) {
        let offers = self.offers(framework);
        let offer = offers.first().expect("there is an offer").id;
        self.accept(framework, &[offer], launches);
    }

    pub fn accept(&mut self, framework: &str, offers: &[OfferId], launches: Vec<TaskSpec>) {
        let refuse = Duration::from_secs(1);
        let launches = launches.into_iter().map(Arc::new).collect();
        self.call(framework, Call::Accept { offers: offers.to_vec(), launches, refuse });
    }

    pub fn acknowledge(&mut self, framework: &str, task_name: &str, sequence: u64) {
        self.call(framework, Call::Acknowledge { task: task(task_name), sequence });
    }

    /// Lets time pass in small steps, with a tick whenever the kernel wants one and a heartbeat of `alive` each second.
    pub fn pass(&mut self, time: Duration, alive: &[&str]) {
        let end = self.now.plus(time);
        let mut beat = self.now.plus(Duration::from_secs(1));
        while self.now < end {
            self.now = self.kernel.next_wakeup().unwrap_or(end).max(self.now).min(beat).min(end);
            self.handle(Input::Tick);
            if self.now == beat {
                beat = beat.plus(Duration::from_secs(1));
                for name in alive {
                    self.say(name, ToControl::Heartbeat);
                }
            }
        }
    }

    /// The offers a framework holds now.
    pub fn offers(&self, framework: &str) -> Vec<Offer> {
        let is_open = |id: OfferId| self.kernel.view().offers().any(|open| open.id == id);
        let mut offers = vec![];
        for (to, event) in &self.events {
            if let (true, Event::Offers(made)) = (to.as_str() == framework, event) {
                offers.extend(made.iter().filter(|offer| is_open(offer.id)).cloned());
            }
        }
        offers
    }

    pub fn updates(&self, framework: &str) -> Vec<(String, u64, &'static str)> {
        let of = |status: &TaskStatus| (status.task.to_string(), status.sequence, status.state.word());
        self.events
            .iter()
            .filter(|(to, _)| to.as_str() == framework)
            .filter_map(|(_, event)| if let Event::Update(status) = event { Some(of(status)) } else { None })
            .collect()
    }

    pub fn refusals(&self) -> Vec<String> {
        let text = |event: &Event| match event {
            Event::Refused { call, reason } => Some(format!("{call}: {reason}")),
            _ => None,
        };
        self.events.iter().filter_map(|(_, event)| text(event)).collect()
    }

    pub fn words_to(&self, name: &str) -> Vec<String> {
        let word = |message: &ToAgent| match message {
            ToAgent::Registered => "registered".to_owned(),
            ToAgent::Unknown => "unknown".to_owned(),
            ToAgent::Launch { spec, .. } => format!("launch {}", spec.task),
            ToAgent::Kill { task, .. } => format!("kill {task}"),
            ToAgent::Acknowledge { task, sequence, .. } => format!("acknowledge {task} {sequence}"),
            ToAgent::GrantLease { task, ticket, .. } => format!("grant lease {task} {ticket}"),
        };
        self.orders.iter().filter(|(to, _)| to.as_str() == name).map(|(_, message)| word(message)).collect()
    }

    pub fn count(&self, name: &str, word: &str) -> usize {
        self.words_to(name).iter().filter(|said| *said == word).count()
    }

    pub fn forget_words(&mut self) {
        self.events.clear();
        self.orders.clear();
        self.decisions.clear();
    }
}
