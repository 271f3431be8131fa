//! As much of a kernel as services need: offers, launches, kills, updates until they are acknowledged.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use kogge_model::attribute::Attributes;
use kogge_model::id::{AgentId, FrameworkId, OfferId, RunId, TaskId};
use kogge_model::port::{Port, PortSet};
use kogge_model::reason::Reason;
use kogge_model::resources::{Bytes, CpuMillis, Resources};
use kogge_model::scheduler::{Call, Event, InverseOffer, KnownUpdate, Offer};
use kogge_model::task::{Ended, Outcome, TaskSpec, TaskState, TaskStatus};
use kogge_model::template::Command;
use kogge_model::time::Timestamp;

#[derive(Default)]
pub struct Kernel {
    agents: BTreeMap<AgentId, Agent>,
    tasks: BTreeMap<TaskId, Task>,
    offers: BTreeMap<OfferId, (AgentId, Resources)>,
    refused: BTreeMap<AgentId, Timestamp>,
    events: VecDeque<Event>,
    is_subscribed: bool,
    is_suppressed: bool,
    next_offer: OfferId,
    next_run: RunId,
    /// Every id that was ever launched.
    launched: BTreeSet<TaskId>,
    /// Refuse this many launches.
    pub refuse_next: u32,
}

struct Agent {
    attributes: Arc<Attributes>,
    free: Resources,
    is_draining: bool,
}

struct Task {
    spec: Arc<TaskSpec>,
    status: TaskStatus,
    acknowledged: u64,
    is_killed: bool,
}

impl Kernel {
    pub fn add_agent(&mut self, name: &str, cpus: u64, attributes: &[(&str, &str)]) {
        let mut all: Attributes =
            attributes.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        all.insert("agent".into(), name.into());
        let free = Resources {
            cpu_millis: CpuMillis(cpus * 1_000),
            mem_bytes: Bytes::gib(64),
            disk_bytes: Bytes::gib(64),
            ports: PortSet::range(Port::new(31_000).unwrap(), Port::new(31_999).unwrap()),
        };
        self.agents.insert(AgentId::new(name), Agent { attributes: Arc::new(all), free, is_draining: false });
        self.tell_ready(name);
    }

    /// Somebody wants the agent back, or does not any more.
    pub fn drain(&mut self, name: &str, is_draining: bool) {
        self.agents.get_mut(&AgentId::new(name)).expect("an agent").is_draining = is_draining;
        if self.is_subscribed {
            self.events.push_back(self.inverse_offers());
        }
        if !is_draining {
            self.tell_ready(name);
        }
    }

    pub fn is_draining(&self, name: &str) -> bool {
        self.agents[&AgentId::new(name)].is_draining
    }

    fn inverse_offers(&self) -> Event {
        let draining = self.agents.iter().filter(|(_, agent)| agent.is_draining);
        let offers = draining.map(|(agent, _)| InverseOffer {
            agent: agent.clone(),
            reason: format!("agent {agent} is drained: new disk").into(),
        });
        Event::InverseOffers(offers.collect())
    }

    fn tell_ready(&mut self, name: &str) {
        let agent = AgentId::new(name);
        if self.is_subscribed {
            let attributes = Arc::clone(&self.agents[&agent].attributes);
            self.events.push_back(Event::AgentReady { agent, attributes });
        }
    }

    /// Tasks on an agent that are not over.
    pub fn on_agent(&self, name: &str) -> usize {
        let of_it = |task: &&Task| task.status.agent.as_str() == name && !task.status.state.is_terminal();
        self.tasks.values().filter(of_it).count()
    }

    pub fn next_event(&mut self) -> Option<Event> {
        if self.events.is_empty() && self.is_subscribed && !self.is_suppressed {
            self.offer();
        }
        self.events.pop_front()
    }

    pub fn disconnect(&mut self) {
        self.is_subscribed = false;
        self.events.clear();
        self.offers.clear();
    }

    /// Refusals end; tells whether there is something to offer again.
    pub fn revive_due(&mut self, now: Timestamp) -> bool {
        let before = self.refused.len();
        self.refused.retain(|_, until| *until > now);
        self.refused.len() < before
    }

    fn offer(&mut self) {
        let mut made = Vec::new();
        for (agent, known) in &self.agents {
            let is_open = self.offers.values().any(|(other, _)| other == agent);
            if is_open
                || known.is_draining
                || self.refused.contains_key(agent)
                || known.free.cpu_millis.0 == 0
            {
                continue;
            }
            self.next_offer = self.next_offer.next();
            self.offers.insert(self.next_offer, (agent.clone(), known.free.clone()));
            made.push(Offer {
                id: self.next_offer,
                agent: agent.clone(),
                attributes: Arc::clone(&known.attributes),
                resources: known.free.clone(),
            });
        }
        if !made.is_empty() {
            self.events.push_back(Event::Offers(made));
        }
    }

    fn acknowledge(&mut self, task: &TaskId, sequence: u64) {
        let task = self.tasks.get_mut(task).expect("only updates of known tasks are acknowledged");
        assert!(sequence <= task.status.sequence, "acknowledged what was never said");
        task.acknowledged = task.acknowledged.max(sequence);
    }

    pub fn obey(&mut self, now: Timestamp, call: Call) {
        assert!(self.is_subscribed || matches!(call, Call::Resume { .. }), "{call:?} without a subscription");
        match call {
            Call::Subscribe(_) => panic!("services remember"),
            Call::Resume { info, known } => {
                (self.is_subscribed, self.is_suppressed) = (true, false);
                self.events.push_back(Event::Subscribed(FrameworkId::new(info.name)));
                self.events.push_back(self.inverse_offers());
                self.reconcile_all(now, known);
            }
            Call::Accept { offers, launches, refuse } => {
                let agent =
                    offers.iter().map(|offer| self.offers.remove(offer).expect("an open offer").0).last();
                let agent = agent.expect("an offer");
                self.refused.insert(agent.clone(), now.plus(refuse));
                for spec in launches {
                    self.launch(now, &agent, spec);
                }
            }
            Call::Decline { offers, refuse } => {
                for offer in offers {
                    let (agent, _) = self.offers.remove(&offer).expect("an open offer");
                    self.refused.insert(agent, now.plus(refuse));
                }
            }
            Call::Revive => {
                self.is_suppressed = false;
                self.refused.clear();
            }
            Call::Suppress => self.is_suppressed = true,
            Call::Kill { task, .. } => match self.tasks.get_mut(&task) {
                Some(task) => task.is_killed = true,
                None => self.tell_lost(now, &task),
            },
            Call::Acknowledge { task, sequence } => self.acknowledge(&task, sequence),
            Call::AcknowledgeAll(updates) => {
                for (task, sequence) in updates {
                    self.acknowledge(&task, sequence);
                }
            }
            Call::Reconcile(tasks) => self.reconcile(now, &tasks),
            Call::Teardown => panic!("services never end their framework"),
        }
    }

    fn launch(&mut self, now: Timestamp, agent: &AgentId, spec: Arc<TaskSpec>) {
        assert!(self.launched.insert(spec.task.clone()), "{} was launched before", spec.task);
        let ended = |outcome| TaskState::Ended(Ended { at: now, outcome, exit: None });
        if self.refuse_next > 0 {
            self.refuse_next -= 1;
            let (task, state) = (spec.task.clone(), ended(Outcome::Rejected));
            let reason = "offer 7 is no longer valid".into();
            let (run, agent) = (RunId(0), AgentId::new(""));
            let status = TaskStatus { task, run, agent, sequence: 0, at: now, state, reason };
            return self.events.push_back(Event::Update(status));
        }
        self.agents.get_mut(agent).expect("an agent").free.take(&spec.resources);
        self.next_run = self.next_run.next();
        let status = TaskStatus {
            task: spec.task.clone(),
            run: self.next_run,
            agent: agent.clone(),
            sequence: 0,
            at: now,
            state: TaskState::Staging,
            reason: Reason::default(),
        };
        let task = Task { spec, status, acknowledged: 0, is_killed: false };
        self.tasks.insert(task.spec.task.clone(), task);
    }

    fn reconcile(&mut self, now: Timestamp, tasks: &[TaskId]) {
        if tasks.is_empty() {
            let live = self.tasks.values().filter(|task| !task.status.state.is_terminal());
            self.events.extend(live.map(|task| Event::Update(task.status.clone())));
        }
        for id in tasks {
            match self.tasks.get(id) {
                Some(task) => self.events.push_back(Event::Update(task.status.clone())),
                None => self.tell_lost(now, id),
            }
        }
    }

    fn reconcile_all(&mut self, now: Timestamp, known: Vec<KnownUpdate>) {
        let known: BTreeMap<TaskId, KnownUpdate> =
            known.into_iter().map(|known| (known.task.clone(), known)).collect();
        let live = self.tasks.values().filter(|task| !task.status.state.is_terminal());
        let is_news =
            |status: &TaskStatus| known.get(&status.task).is_none_or(|known| !known.is_newest(status));
        let (news, settled): (Vec<TaskStatus>, _) = live.map(|task| task.status.clone()).partition(is_news);
        self.events.extend(news.into_iter().map(Event::Update));
        for status in settled {
            self.acknowledge(&status.task, status.sequence);
        }
        let is_live = |id: &TaskId| self.tasks.get(id).is_some_and(|task| !task.status.state.is_terminal());
        let others: Vec<TaskId> = known.into_keys().filter(|id| !is_live(id)).collect();
        if !others.is_empty() {
            self.reconcile(now, &others);
        }
    }

    fn tell_lost(&mut self, now: Timestamp, task: &TaskId) {
        self.events.push_back(Event::Update(TaskStatus {
            task: task.clone(),
            run: RunId(0),
            agent: AgentId::new(""),
            sequence: 0,
            at: now,
            state: TaskState::Ended(Ended { at: now, outcome: Outcome::Lost, exit: None }),
            reason: "the kernel knows no such task".into(),
        }));
    }

    /// An agent tells the newest state of a task.
    pub fn update(&mut self, now: Timestamp, id: &TaskId, state: TaskState, reason: Reason) {
        let task = self.tasks.get_mut(id).expect("a task");
        assert!(task.status.state.may_become(&state), "{id} cannot become {state:?}");
        if state.is_terminal() {
            let agent = self.agents.get_mut(&task.status.agent).expect("an agent");
            agent.free.give_back(&task.spec.resources);
        }
        let sequence = task.status.sequence + 1;
        task.status = TaskStatus { sequence, at: now, state, reason, ..task.status.clone() };
        self.events.push_back(Event::Update(task.status.clone()));
    }

    /// A task that nobody launched by way of services.
    pub fn plant(&mut self, now: Timestamp, agent: &str, spec: TaskSpec) {
        self.launch(now, &AgentId::new(agent), Arc::new(spec));
    }

    pub fn alive(&self) -> Vec<(TaskId, String, TaskState)> {
        let alive = self.tasks.values().filter(|task| !task.status.state.is_terminal());
        let told = alive.map(|task| {
            let Some(Command::Shell(version)) = &task.spec.template.command else {
                panic!("a shell command")
            };
            (task.spec.task.clone(), version.clone(), task.status.state.clone())
        });
        told.collect()
    }

    pub fn agent_of(&self, task: &TaskId) -> String {
        self.tasks[task].status.agent.to_string()
    }

    pub fn spec_of(&self, task: &TaskId) -> &TaskSpec {
        &self.tasks[task].spec
    }

    pub fn is_killed(&self, task: &TaskId) -> bool {
        self.tasks.get(task).is_some_and(|task| task.is_killed)
    }

    pub fn is_healthy(&self, task: &TaskId) -> bool {
        let state = self.tasks.get(task).map(|task| &task.status.state);
        matches!(state, Some(TaskState::Running(running)) if running.health.is_healthy())
    }

    pub fn is_suppressed(&self) -> bool {
        self.is_suppressed
    }

    pub fn check_all_acknowledged(&self) {
        for task in self.tasks.values() {
            assert_eq!(task.acknowledged, task.status.sequence, "{} is not acknowledged", task.spec.task);
        }
    }
}
