//! A node against a machine and a control that do everything in any order: what must hold always, and what must come
//! about once nothing interferes.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use kogge_model::agent::AgentInfo;
use kogge_model::health::{HealthCheck, Probe};
use kogge_model::id::{AgentId, ClusterId, RunId, TaskId, Term};
use kogge_model::link::{FromControl, ToAgent, ToControl};
use kogge_model::reason::Reason;
use kogge_model::resources::Resources;
use kogge_model::task::{Exit, TaskSpec, TaskState, TaskStatus};
use kogge_model::template::TaskTemplate;
use kogge_model::time::Timestamp;
use kogge_model::variables::Variables;
use kogge_node::{
    AgentRecord, Effect, Effects, Found, Input, Node, NodeConfig, Recorded, StopSignal, TaskRecord,
};
use proptest::prelude::*;

const TASKS: u8 = 5;
const MAX_STARTING: usize = 2;
const MAX_AWAITING_IMAGES: usize = 1;
const LEASE: Duration = Duration::from_secs(20);
const IP: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// What may happen next; the number picks the task.
#[derive(Debug, Clone, Copy)]
enum Step {
    Launch(u8),
    Kill(u8, u64),
    Acknowledge(u8),
    Connect(bool),
    Fetches(u8, bool),
    StartSucceeds(u8),
    StartFails(u8, bool),
    Exits(u8),
    ShimDies(u8),
    ProbeAnswers(u8, bool),
    Pass(u64),
    AgentDies,
    /// The machine loses power: of each record an older form, or none, may be what is left.
    LosesPower(u8),
}

fn step() -> impl Strategy<Value = Step> {
    let task = || 0..TASKS;
    prop_oneof![
        4 => task().prop_map(Step::Launch),
        2 => (task(), 0..800u64).prop_map(|(task, grace)| Step::Kill(task, grace)),
        3 => task().prop_map(Step::Acknowledge),
        1 => any::<bool>().prop_map(Step::Connect),
        2 => (task(), any::<bool>()).prop_map(|(task, is_done)| Step::Fetches(task, is_done)),
        4 => task().prop_map(Step::StartSucceeds),
        1 => (task(), any::<bool>()).prop_map(|(task, is_permanent)| Step::StartFails(task, is_permanent)),
        2 => task().prop_map(Step::Exits),
        1 => task().prop_map(Step::ShimDies),
        3 => (task(), any::<bool>()).prop_map(|(task, is_ok)| Step::ProbeAnswers(task, is_ok)),
        4 => (1..3_000u64).prop_map(Step::Pass),
        1 => Just(Step::AgentDies),
        1 => any::<u8>().prop_map(Step::LosesPower),
    ]
}

/// A process and its supervisor, as they really are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Really {
    Starting,
    Running { has_shim: bool },
    Exited,
}

struct Machine {
    node: Node,
    now: Timestamp,
    boot: u32,
    agent: AgentRecord,
    disk: BTreeMap<TaskId, TaskRecord>,
    really: BTreeMap<TaskId, Really>,
    cancelled: BTreeSet<TaskId>,
    /// Probes under way with the time by which the prober must answer.
    probes: BTreeMap<TaskId, (u64, Timestamp)>,
    /// Every form each record had since the machine was last without power.
    written: BTreeMap<TaskId, Vec<TaskRecord>>,
    /// Every update control has got, by its number.
    told: BTreeMap<(TaskId, u64), TaskState>,
    /// The newest update control has got of each task.
    heard: BTreeMap<TaskId, TaskStatus>,
    started: BTreeMap<TaskId, u32>,
    /// What was granted through the present agent process.
    leases: BTreeMap<TaskId, Timestamp>,
    is_connected: bool,
    /// What the node is to be told when it has had its way with what it was told before.
    inputs: VecDeque<Input>,
    is_feeding: bool,
}

fn id(task: u8) -> TaskId {
    TaskId::new(format!("t{task}"))
}

fn run(task: u8) -> RunId {
    RunId(u64::from(task) + 1)
}

fn config(boot: u32) -> NodeConfig {
    let info = AgentInfo {
        agent: AgentId::new("m"),
        name: "m".into(),
        address: IP,
        resources: Resources::default(),
        attributes: BTreeMap::new(),
        version: "0".into(),
        closed: None,
    };
    NodeConfig {
        max_starting: MAX_STARTING,
        max_awaiting_images: MAX_AWAITING_IMAGES,
        kept_ended: 2,
        ..NodeConfig::new(info, boot.to_string())
    }
}

fn spec(task: u8) -> Arc<TaskSpec> {
    let check = HealthCheck::new(Probe::Command { argv: vec!["true".into()] });
    let health = task.is_multiple_of(2).then_some(check);
    let lease_ms = task.is_multiple_of(3).then_some(20_000);
    Arc::new(TaskSpec {
        task: id(task),
        instance: None,
        template: Arc::new(TaskTemplate { health, lease_ms, ..TaskTemplate::default() }),
        resources: Resources::default(),
        ports: Vec::new(),
        env: Variables::default(),
    })
}

impl Machine {
    fn new() -> Self {
        Self {
            node: Node::new(config(0), [3; 32]),
            now: Timestamp::from_secs(1_000),
            boot: 0,
            agent: AgentRecord::default(),
            disk: BTreeMap::new(),
            really: BTreeMap::new(),
            cancelled: BTreeSet::new(),
            probes: BTreeMap::new(),
            written: BTreeMap::new(),
            told: BTreeMap::new(),
            heard: BTreeMap::new(),
            started: BTreeMap::new(),
            leases: BTreeMap::new(),
            is_connected: false,
            inputs: VecDeque::new(),
            is_feeding: false,
        }
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::Launch(task) => self.launch(task),
            Step::Kill(task, grace) => self.say(ToAgent::Kill {
                task: id(task),
                run: run(task),
                grace_ms: Some(grace),
                reason: Reason::new("told to"),
            }),
            Step::Acknowledge(task) => self.acknowledge(&id(task)),
            Step::Connect(true) if self.is_connected => {
                self.feed(Input::SessionBegun);
                self.say(ToAgent::Registered);
            }
            Step::Connect(is_connected) => self.connect(is_connected),
            Step::Fetches(task, is_done) => self.fetches(&id(task), is_done),
            Step::StartSucceeds(task) => self.start_ends(&id(task), None),
            Step::StartFails(task, is_permanent) => self.start_ends(&id(task), Some(is_permanent)),
            Step::Exits(task) => self.exits(&id(task), Exit::Code { code: 1 }),
            Step::ShimDies(task) => self.shim_dies(&id(task)),
            Step::ProbeAnswers(task, is_ok) => self.probe_answers(&id(task), is_ok),
            Step::Pass(ms) => self.pass(Duration::from_millis(ms)),
            Step::AgentDies => self.agent_dies(self.boot),
            Step::LosesPower(chance) => self.lose_power(usize::from(chance)),
        }
    }

    /// Control repeats a launch until it hears of the task; an echo may come later, but not after a loss of power,
    /// which has cut the link.
    fn launch(&mut self, task: u8) {
        let is_known = self.disk.contains_key(&id(task)) || run(task) <= self.agent.forgotten_run;
        if is_known || !self.heard.contains_key(&id(task)) {
            self.say(ToAgent::Launch { run: run(task), spec: spec(task) });
        }
    }

    fn say(&mut self, body: ToAgent) {
        if self.is_connected {
            let message = FromControl { cluster: ClusterId::new("c"), term: Term(1), body };
            self.feed(Input::FromControl(message));
        }
    }

    fn acknowledge(&mut self, task: &TaskId) {
        if let Some(heard) = self.heard.get(task).cloned() {
            self.say(ToAgent::Acknowledge { task: heard.task, run: heard.run, sequence: heard.sequence });
        }
    }

    fn connect(&mut self, is_connected: bool) {
        self.is_connected = is_connected;
        self.feed(if is_connected { Input::LinkUp } else { Input::LinkDown });
        self.say(ToAgent::Registered);
    }

    fn fetches(&mut self, task: &TaskId, is_done: bool) {
        if self.really.get(task) == Some(&Really::Starting) {
            let (task, reason) = (task.clone(), Reason::new("fetches"));
            self.feed(if is_done { Input::Fetched { task } } else { Input::Fetching { task, reason } });
        }
    }

    fn start_ends(&mut self, task: &TaskId, failure: Option<bool>) {
        if self.really.get(task) != Some(&Really::Starting) {
            return;
        }
        self.cancelled.remove(task);
        let task = task.clone();
        if let Some(is_permanent) = failure {
            self.really.remove(&task);
            return self.feed(Input::StartFailed { task, reason: Reason::new("no"), is_permanent });
        }
        self.really.insert(task.clone(), Really::Running { has_shim: true });
        self.feed(Input::Started { task, pid: 7, started_at: self.now, ip: IP });
    }

    fn exits(&mut self, task: &TaskId, exit: Exit) {
        if self.really.get(task) == Some(&Really::Running { has_shim: true }) {
            self.really.insert(task.clone(), Really::Exited);
            self.feed(Input::Exited { task: task.clone(), exit, at: self.now, oom_kills: 0 });
        }
    }

    fn shim_dies(&mut self, task: &TaskId) {
        if self.really.get(task) == Some(&Really::Running { has_shim: true }) {
            self.really.insert(task.clone(), Really::Running { has_shim: false });
            self.feed(Input::ShimLost { task: task.clone(), reason: Reason::new("died") });
        }
    }

    fn probe_answers(&mut self, task: &TaskId, is_ok: bool) {
        if let Some((number, _)) = self.probes.remove(task) {
            let result = if is_ok { Ok(()) } else { Err(Reason::new("no")) };
            self.feed(Input::ProbeResult { task: task.clone(), number, result });
        }
    }

    fn pass(&mut self, time: Duration) {
        let until = self.now.plus(time);
        while self.now < until {
            self.pass_to(until.min(self.now.plus(Duration::from_secs(1))));
            let is_late = |(_, (_, deadline)): &(&TaskId, &(u64, Timestamp))| *deadline <= self.now;
            let late: Vec<TaskId> =
                self.probes.iter().filter(is_late).map(|(task, _)| task.clone()).collect();
            late.iter().for_each(|task| self.probe_answers(task, false));
        }
    }

    fn pass_to(&mut self, until: Timestamp) {
        while let Some(due) = self.node.next_wakeup().filter(|due| *due <= until) {
            self.now = self.now.max(due);
            self.feed(Input::Tick);
            assert!(
                self.node.next_wakeup().is_none_or(|next| next > self.now),
                "the node does not do what is due"
            );
        }
        self.now = until;
    }

    fn lose_power(&mut self, chance: usize) {
        self.really.retain(|_, really| *really == Really::Exited);
        let written = std::mem::take(&mut self.written);
        for (n, (task, forms)) in written.into_iter().enumerate() {
            let left = match (chance + n) % 3 {
                0 => self.disk.get(&task).cloned(),
                1 if self.disk.contains_key(&task) => Some(forms[chance % forms.len()].clone()),
                _ => None,
            };
            self.disk.remove(&task);
            if let Some(record) = left {
                self.disk.insert(task.clone(), record.clone());
                self.written.insert(task, vec![record]);
            }
        }
        self.agent_dies(self.boot + 1);
    }

    /// The agent's process ends and comes back; starts in progress come to nothing, and what is there without a record
    /// is cleared away first.
    fn agent_dies(&mut self, boot: u32) {
        self.boot = boot;
        self.really.retain(|task, really| *really != Really::Starting && self.disk.contains_key(task));
        self.cancelled.clear();
        self.probes.clear();
        self.leases.clear();
        let records = self.disk.values().cloned().collect();
        self.node = Node::restore(config(boot), [4; 32], self.agent.clone(), records);
        let waiting: Vec<TaskId> = self.node.recovering().cloned().collect();
        for task in waiting {
            let found = match self.really.get(&task) {
                Some(Really::Running { has_shim: true }) => {
                    Found::Running { pid: 7, started_at: self.now, ip: IP }
                }
                Some(Really::Running { has_shim: false }) => Found::Lost { reason: Reason::new("died") },
                Some(Really::Exited) => {
                    Found::Exited { exit: Exit::Code { code: 1 }, at: self.now, oom_kills: 0 }
                }
                Some(Really::Starting) | None => Found::Nothing,
            };
            self.feed(Input::Recovered { task, found });
        }
        if self.is_connected {
            self.connect(true);
        }
    }

    /// One input after the other: what an effect brings about is told when all effects before it are done.
    fn feed(&mut self, input: Input) {
        self.inputs.push_back(input);
        if std::mem::replace(&mut self.is_feeding, true) {
            return;
        }
        while let Some(input) = self.inputs.pop_front() {
            self.tell(input);
        }
        self.is_feeding = false;
    }

    fn tell(&mut self, input: Input) {
        let mut effects = Effects::new();
        self.node.handle(self.now, input, &mut effects);
        for effect in effects {
            self.obey(effect);
        }
        let starting = self.really.values().filter(|really| **really == Really::Starting).count();
        assert!(starting <= MAX_STARTING + MAX_AWAITING_IMAGES, "{starting} starts at once");
    }

    fn obey(&mut self, effect: Effect) {
        match effect {
            Effect::SaveAgent(record) => self.agent = record,
            Effect::Save(record) => self.save(*record),
            Effect::Forget(task) => {
                let record = self.disk.remove(&task).expect("only kept tasks are forgotten");
                assert!(record.is_acknowledged, "{task} was forgotten before control had its end");
            }
            Effect::Start { spec, .. } => {
                assert!(self.disk.contains_key(&spec.task), "{} starts before it is kept", spec.task);
                let lease = self.leases.get(&spec.task);
                let may_live =
                    spec.template.lease_ms.is_none() || lease.is_some_and(|until| *until > self.now);
                assert!(may_live, "{} starts without a lease", spec.task);
                let before = self.really.insert(spec.task.clone(), Really::Starting);
                assert_eq!(before, None, "{} starts twice", spec.task);
                *self.started.entry(spec.task.clone()).or_default() += 1;
            }
            Effect::Lease { task, until } => {
                assert!(until <= self.now.plus(LEASE), "{task} may live for longer than its lease");
                let before = self.leases.insert(task.clone(), until);
                assert!(before.is_none_or(|before| before < until), "the lease of {task} shrinks");
            }
            // Every fourth ask is lost.
            Effect::Send(ToControl::AskLease { ticket, .. }) if ticket % 4 == 0 => {}
            Effect::Send(ToControl::AskLease { task, run, ticket }) => {
                self.say(ToAgent::GrantLease { task, run, ticket });
            }
            Effect::CancelStart(task) => drop(self.cancelled.insert(task)),
            Effect::Signal { task, signal: StopSignal::Kill } => {
                self.exits(&task, Exit::Signal { signal: 9 });
            }
            Effect::MakeSure(task) => {
                self.really.remove(&task);
                self.feed(Input::Gone { task });
            }
            Effect::Release(task) => {
                let really = self.really.get(&task);
                assert!(matches!(really, None | Some(Really::Exited)), "{task} is released: {really:?}");
            }
            Effect::Probe { task, number, timeout, .. } => {
                let before = self.probes.insert(task.clone(), (number, self.now.plus(timeout)));
                assert_eq!(before, None, "two probes of {task} at once");
                let really = self.really.get(&task);
                assert!(matches!(really, Some(Really::Running { .. })), "a probe of {task}: {really:?}");
            }
            Effect::Send(ToControl::Status(status)) => self.hear(status),
            Effect::Send(ToControl::Register { tasks, .. }) => {
                tasks.into_iter().for_each(|status| self.hear(status));
            }
            Effect::Collect(task) => {
                self.really.remove(&task);
                self.feed(Input::Collected { task });
            }
            Effect::Signal { signal: StopSignal::Stop, .. }
            | Effect::Send(ToControl::Heartbeat)
            | Effect::Explain(_) => {}
        }
    }

    fn save(&mut self, record: TaskRecord) {
        if let Some(before) = self.disk.get(&record.task) {
            let (was, is) = (before.recorded.state(), record.recorded.state());
            assert!(record.sequence >= before.sequence, "{} counts backwards", record.task);
            if record.sequence > before.sequence {
                let is_legal = was == is || was.may_become(&is);
                assert!(is_legal, "{}: {} to {}", record.task, was.word(), is.word());
            }
        }
        if let Recorded::Ended(_) = record.recorded {
            let really = self.really.get(&record.task);
            assert!(matches!(really, None | Some(Really::Exited)), "{} ended: {really:?}", record.task);
            self.probes.remove(&record.task);
        }
        if let Recorded::Stopping(_) = record.recorded {
            self.probes.remove(&record.task);
        }
        self.written.entry(record.task.clone()).or_default().push(record.clone());
        self.disk.insert(record.task.clone(), record);
    }

    fn hear(&mut self, status: TaskStatus) {
        let kept = &self.disk[&status.task];
        assert!(kept.recorded.state() == status.state, "told but not kept");
        let told = self.told.entry((status.task.clone(), status.sequence)).or_insert(status.state.clone());
        let is_over = told.is_terminal() && status.state.is_terminal();
        assert!(is_over || *told == status.state, "one number for two updates of {}", status.task);
        let before = self.heard.get(&status.task);
        // Once it is over, whatever else is told of it only wants to be acknowledged.
        if before.is_none_or(|before| status.sequence >= before.sequence || before.state.is_terminal()) {
            self.heard.insert(status.task.clone(), status);
        }
    }

    /// Nothing interferes any more: control wants everything ended, and everything answers.
    fn settle(&mut self) {
        self.connect(true);
        for _ in 0..20 {
            for task in 0..TASKS {
                if self.heard.get(&id(task)).is_some_and(|heard| !heard.state.is_terminal()) {
                    self.take(Step::Kill(task, 100));
                }
                self.take(Step::StartFails(task, false));
                self.take(Step::Acknowledge(task));
            }
            self.pass(Duration::from_secs(3));
        }
        assert!(self.node.is_idle(), "something is left: {:?}", self.node.tasks().collect::<Vec<_>>());
        assert!(self.node.tasks().all(|task| task.is_acknowledged), "an end was not acknowledged");
        assert!(self.disk.len() <= 2, "ended tasks are not collected: {:?}", self.disk.keys());
        let is_left = |really: &Really| matches!(really, Really::Starting | Really::Running { .. });
        assert!(!self.really.values().any(is_left), "processes are left: {:?}", self.really);
        let is_ended = |status: &TaskStatus| matches!(status.state, TaskState::Ended(_));
        assert!(self.heard.values().all(is_ended), "control did not hear of an end");
    }
}

fn play(steps: impl IntoIterator<Item = Step>) {
    let mut machine = Machine::new();
    steps.into_iter().for_each(|step| machine.take(step));
    machine.settle();
}

#[test]
fn what_is_killed_the_moment_it_runs_is_told_as_running_first() {
    play([Step::Connect(true), Step::Launch(4), Step::StartSucceeds(4), Step::Kill(4, 0)]);
}

#[test]
fn what_ended_and_lost_its_record_with_the_power_starts_anew() {
    play([
        Step::Connect(true),
        Step::Launch(1),
        Step::Connect(false),
        Step::StartSucceeds(1),
        Step::Exits(1),
        Step::LosesPower(2),
        Step::Connect(true),
        Step::Launch(1),
        Step::StartSucceeds(1),
    ]);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_each_task_runs_once_and_its_end_is_told(
        steps in proptest::collection::vec(step(), 0..150)
    ) {
        play(steps);
    }
}
