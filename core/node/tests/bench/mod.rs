//! Runs scenario scripts against a node.
//!
//! A line starting with `:` is an expected effect, any other line is something that happens. Heartbeats are shown
//! only where a script expects one. What comes out is
//! compared as text with what the script says. Waits are not jittered away: the bench steps exactly to the times
//! the node asks for, within the `+MS` it is told to pass.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use kogge_model::agent::AgentInfo;
use kogge_model::health::{Health, HealthCheck, Probe};
use kogge_model::id::{AgentId, ClusterId, RunId, TaskId, Term};
use kogge_model::link::{FromControl, ToAgent, ToControl};
use kogge_model::port::Port;
use kogge_model::reason::Reason;
use kogge_model::resources::Resources;
use kogge_model::task::{Exit, PortBinding, TaskSpec, TaskState, TaskStatus};
use kogge_model::template::TaskTemplate;
use kogge_model::time::Timestamp;
use kogge_model::variables::Variables;
use kogge_node::{
    AgentRecord, Effect, Effects, Found, Input, Node, NodeConfig, ProbeTarget, StopSignal, TaskRecord,
};

/// Runs `script` and compares; that a task starts is told at once.
#[track_caller]
pub(crate) fn check(script: &str) {
    check_telling_after(0, script);
}

/// The same; that a task starts is told after `ms`.
#[track_caller]
pub(crate) fn check_telling_after(ms: u64, script: &str) {
    let mut bench = Bench::new(Duration::from_millis(ms));
    let mut found = String::new();
    let lines: Vec<&str> = script.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    for line in lines.iter().filter(|line| !line.starts_with(':')) {
        found.push_str(line);
        found.push('\n');
        let effects = bench.run(line);
        if line.split(' ').next().is_some_and(is_loud) {
            let is_shown = |effect: &&Effect| {
                **effect != Effect::Send(ToControl::Heartbeat) || script.contains(": heartbeat")
            };
            for effect in effects.iter().filter(is_shown) {
                found.push_str(&format!(": {}\n", render(effect)));
            }
        }
    }
    let expected: String = lines.iter().map(|line| format!("{line}\n")).collect();
    assert!(found == expected, "the node wants something else\n--- expected\n{expected}\n--- found\n{found}");
}

/// Lines that only lead up to the scenario print nothing.
fn is_loud(word: &str) -> bool {
    !matches!(word, "quiet" | "accepted" | "running" | "ended")
}

struct Bench {
    node: Node,
    now: Timestamp,
    boot: u32,
    tell_start_after: Duration,
    agent: AgentRecord,
    records: BTreeMap<TaskId, TaskRecord>,
    probes: BTreeMap<TaskId, u64>,
    /// Of all asks for a lease, in order.
    tickets: Vec<u64>,
    next_run: u64,
}

fn info() -> AgentInfo {
    AgentInfo {
        agent: AgentId::new("m1"),
        name: "m1".into(),
        address: IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)),
        resources: Resources::default(),
        attributes: BTreeMap::new(),
        version: "0".into(),
        closed: None,
    }
}

fn config(boot: u32, tell_start_after: Duration) -> NodeConfig {
    NodeConfig {
        max_starting: 2,
        max_awaiting_images: 2,
        kept_ended: 2,
        tell_start_after,
        register_first: Duration::from_millis(200),
        resend_first: Duration::from_millis(200),
        ..NodeConfig::new(info(), format!("boot-{boot}"))
    }
}

fn spec(task: &str, has_health: bool, lease_ms: Option<u64>) -> Arc<TaskSpec> {
    let port = Port::new(80).unwrap();
    let health = has_health.then(|| HealthCheck::new(Probe::Http { path: "/up".into(), port: 0 }));
    Arc::new(TaskSpec {
        task: TaskId::new(task),
        instance: None,
        template: Arc::new(TaskTemplate { health, lease_ms, ..TaskTemplate::default() }),
        resources: Resources::default(),
        ports: vec![PortBinding { host_port: Port::new(31_000).unwrap(), container_port: port }],
        env: Variables::default(),
    })
}

const IP: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 1, 2, 3));

impl Bench {
    fn new(tell_start_after: Duration) -> Self {
        Self {
            tell_start_after,
            node: Node::new(config(1, tell_start_after), [1; 32]),
            now: Timestamp::from_secs(1_000_000),
            boot: 1,
            agent: AgentRecord::default(),
            records: BTreeMap::new(),
            probes: BTreeMap::new(),
            tickets: Vec::new(),
            next_run: 1,
        }
    }

    fn run(&mut self, line: &str) -> Effects {
        let words: Vec<&str> = line.split(' ').collect();
        let rest = |from: usize| words.get(from..).unwrap_or_default().join(" ");
        match words.as_slice() {
            ["quiet", ..] => self.run(&rest(1)),
            ["accepted"] => self.all(&["up", "registered"]),
            ["running", task] => {
                let run = self.next_run;
                self.all(&["accepted", &format!("launch {task} {run}"), &format!("started {task} 100")])
            }
            ["ended", task] => self.all(&[&format!("running {task}"), &format!("exited {task} code 3")]),
            ["crash"] => self.restart(self.boot),
            ["reboot"] => self.restart(self.boot + 1),
            ["fail", task] => self.probe_due(task, &format!("probed {task} fail timed out")),
            ["succeed", task] => self.probe_due(task, &format!("probed {task} ok")),
            [wait] if wait.starts_with('+') => self.pass(wait[1..].parse().unwrap()),
            _ => {
                let input = self.input(&words);
                self.feed(input)
            }
        }
    }

    fn all(&mut self, lines: &[&str]) -> Effects {
        lines.iter().flat_map(|line| self.run(line)).collect()
    }

    fn restart(&mut self, boot: u32) -> Effects {
        self.boot = boot;
        let records = self.records.values().cloned().collect();
        self.node = Node::restore(config(boot, self.tell_start_after), [2; 32], self.agent.clone(), records);
        Effects::new()
    }

    /// Lets the next probe of `task` begin, then answers it with `line`.
    fn probe_due(&mut self, task: &str, line: &str) -> Effects {
        let before = self.probes[&TaskId::new(task)];
        while self.probes[&TaskId::new(task)] == before {
            self.pass(100);
        }
        self.run(line)
    }

    /// Passes `ms`, waking the node whenever it asks for it. Jitter only shortens waits, so each wake-up is moved to
    /// the step's end: what is due by then is seen once.
    fn pass(&mut self, ms: u64) -> Effects {
        self.now = self.now.plus(Duration::from_millis(ms));
        if self.node.next_wakeup().is_none_or(|due| due > self.now) {
            return Effects::new();
        }
        self.feed(Input::Tick)
    }

    fn feed(&mut self, input: Input) -> Effects {
        let mut effects = Effects::new();
        self.node.handle(self.now, input, &mut effects);
        for effect in &effects {
            match effect {
                Effect::SaveAgent(record) => self.agent = record.clone(),
                Effect::Save(record) => drop(self.records.insert(record.task.clone(), (**record).clone())),
                Effect::Forget(task) => drop(self.records.remove(task)),
                Effect::Send(ToControl::AskLease { ticket, .. }) => self.tickets.push(*ticket),
                Effect::Probe { task, number, .. } => drop(self.probes.insert(task.clone(), *number)),
                _ => {}
            }
        }
        if self.node.next_wakeup().is_some_and(|due| due <= self.now) {
            panic!("the node asks to be woken at once, again");
        }
        effects
    }

    fn input(&mut self, words: &[&str]) -> Input {
        let id = |text: &str| TaskId::new(text);
        let reason = |from: usize| Reason::new(words[from..].join(" "));
        match words {
            ["up"] => Input::LinkUp,
            ["down"] => Input::LinkDown,
            ["session"] => Input::SessionBegun,
            ["as", cluster, term, what @ ..] => self.heard(cluster, term.parse().unwrap(), what),
            ["found", task, what @ ..] => Input::Recovered { task: id(task), found: self.found(what) },
            ["started", task, pid] => {
                Input::Started { task: id(task), pid: pid.parse().unwrap(), started_at: self.now, ip: IP }
            }
            ["fetching", task, ..] => Input::Fetching { task: id(task), reason: reason(2) },
            ["fetched", task] => Input::Fetched { task: id(task) },
            ["start-failed", task, kind, ..] => {
                Input::StartFailed { task: id(task), reason: reason(3), is_permanent: *kind == "permanent" }
            }
            ["exited", task, how @ ..] => {
                Input::Exited { task: id(task), exit: exit(how), at: self.now, oom_kills: 0 }
            }
            ["shim-lost", task, ..] => Input::ShimLost { task: id(task), reason: reason(2) },
            ["lease-ended", task] => Input::LeaseEnded { task: id(task) },
            ["gone", task] => Input::Gone { task: id(task) },
            ["probed", task, "ok"] => self.probed(task, None, Ok(())),
            ["probed", task, "fail", ..] => self.probed(task, None, Err(reason(3))),
            ["probed", task, number, "ok"] => self.probed(task, number.parse().ok(), Ok(())),
            ["collected", task] => Input::Collected { task: id(task) },
            ["closed", ..] => Input::Closed { why: Some(reason(1)) },
            ["open"] => Input::Closed { why: None },
            ["stop-all", ..] => Input::StopAll { reason: reason(1) },
            what => self.heard("north", 1, what),
        }
    }

    fn probed(&self, task: &str, number: Option<u64>, result: Result<(), Reason>) -> Input {
        let task = TaskId::new(task);
        let number = number.unwrap_or_else(|| self.probes[&task]);
        Input::ProbeResult { task, number, result }
    }

    fn found(&self, what: &[&str]) -> Found {
        match what {
            ["running", pid] => Found::Running { pid: pid.parse().unwrap(), started_at: self.now, ip: IP },
            ["exited", how @ ..] => Found::Exited { exit: exit(how), at: self.now, oom_kills: 0 },
            ["lost", why @ ..] => Found::Lost { reason: Reason::new(why.join(" ")) },
            ["nothing"] => Found::Nothing,
            _ => panic!("found what? {what:?}"),
        }
    }

    fn heard(&mut self, cluster: &str, term: u64, what: &[&str]) -> Input {
        let body = match what {
            ["registered"] => ToAgent::Registered,
            ["unknown"] => ToAgent::Unknown,
            ["launch", task, run, more @ ..] => {
                let run = RunId(run.parse().unwrap());
                self.next_run = run.0 + 1;
                let lease_ms = (more == ["single"]).then_some(20_000);
                ToAgent::Launch { run, spec: spec(task, more == ["health"], lease_ms) }
            }
            ["grant", task, back @ ..] => {
                let back: usize = back.first().map_or(0, |text| text.parse().unwrap());
                let ticket = self.tickets[self.tickets.len() - 1 - back];
                let run = self.records[&TaskId::new(task)].run;
                ToAgent::GrantLease { task: TaskId::new(task), run, ticket }
            }
            ["kill", task, run, why @ ..] => {
                let grace_ms = why[0].strip_prefix("grace=").map(|ms| ms.parse().unwrap());
                let why = &why[usize::from(grace_ms.is_some())..];
                let run =
                    self.records.get(&TaskId::new(task)).map_or(run.parse().unwrap(), |known| known.run.0);
                ToAgent::Kill {
                    task: TaskId::new(task),
                    run: RunId(run),
                    grace_ms,
                    reason: Reason::new(why.join(" ")),
                }
            }
            ["ack", task, sequence @ ..] => {
                let known = &self.records[&TaskId::new(task)];
                let sequence = sequence.first().map_or(known.sequence, |text| text.parse().unwrap());
                ToAgent::Acknowledge { task: known.task.clone(), run: known.run, sequence }
            }
            ["acknowledge"] => {
                ToAgent::Acknowledge { task: TaskId::new("nobody"), run: RunId(0), sequence: 0 }
            }
            _ => panic!("what is {what:?}?"),
        };
        Input::FromControl(FromControl { cluster: ClusterId::new(cluster), term: Term(term), body })
    }
}

fn exit(how: &[&str]) -> Exit {
    match how {
        ["code", code] => Exit::Code { code: code.parse().unwrap() },
        ["signal", signal] => Exit::Signal { signal: signal.parse().unwrap() },
        ["oom"] => Exit::OutOfMemory,
        _ => panic!("exited how? {how:?}"),
    }
}

fn render(effect: &Effect) -> String {
    match effect {
        Effect::SaveAgent(record) => {
            let cluster = record.cluster.as_ref().map_or("(none)", ClusterId::as_str);
            format!("save-agent {cluster} term {} forgot {}", record.term, record.forgotten_run)
        }
        Effect::Save(record) => {
            let state = state(&record.recorded.state());
            let more = if record.is_acknowledged && record.recorded.state().is_terminal() {
                " acknowledged"
            } else {
                ""
            };
            format!("save {}#{} {state}{more}", record.task, record.sequence)
        }
        Effect::Forget(task) => format!("forget {task}"),
        Effect::Start { run, spec } => format!("start {} {run}", spec.task),
        Effect::CancelStart(task) => format!("cancel {task}"),
        Effect::Signal { task, signal: StopSignal::Stop } => format!("stop {task}"),
        Effect::Signal { task, signal: StopSignal::Kill } => format!("kill-hard {task}"),
        Effect::MakeSure(task) => format!("make-sure {task}"),
        Effect::Release(task) => format!("release {task}"),
        Effect::Probe { task, number, target, .. } => {
            format!("probe {task} {number} {}", target_text(target))
        }
        Effect::Send(ToControl::Register { info, cluster, term, tasks, .. }) => {
            let tasks: Vec<String> = tasks.iter().map(short).collect();
            let cluster = cluster.as_ref().map_or("(none)".to_owned(), |cluster| format!("{cluster}/{term}"));
            let closed = info.closed.as_ref().map(|why| format!(" closed: {why}")).unwrap_or_default();
            format!("register {cluster} [{}]{closed}", tasks.join(", "))
        }
        Effect::Send(ToControl::Status(status)) => format!("status {}: {}", short(status), status.reason),
        Effect::Lease { task, until } => format!("lease {task} {}", until.as_micros() / 1_000 % 1_000_000),
        Effect::Send(ToControl::AskLease { task, .. }) => format!("ask-lease {task}"),
        Effect::Send(ToControl::Heartbeat) => "heartbeat".to_owned(),
        Effect::Collect(task) => format!("collect {task}"),
        Effect::Explain(decision) => {
            let task = decision.task.as_ref().map_or("-", TaskId::as_str);
            format!("explain {} {task}: {}", decision.verb, decision.reason)
        }
    }
}

fn target_text(target: &ProbeTarget) -> String {
    match target {
        ProbeTarget::Http { address, .. } | ProbeTarget::Tcp { address } => address.to_string(),
        ProbeTarget::Command { argv } => argv.join(" "),
    }
}

fn short(status: &TaskStatus) -> String {
    format!("{}#{} {}", status.task, status.sequence, state(&status.state))
}

fn state(state: &TaskState) -> String {
    let TaskState::Running(running) = state else { return state.word().to_owned() };
    let health = match &running.health {
        Health::Starting => "starting".to_owned(),
        Health::Healthy => "healthy".to_owned(),
        Health::Unhealthy { failures, reason } => format!("unhealthy {failures} {reason}"),
    };
    format!("running {} {health}", running.pid)
}
