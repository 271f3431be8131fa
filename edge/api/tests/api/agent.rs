//! An agent that says it runs whatever it is told to.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use kogge_control::ports::{AgentLinks, ToAgents};
use kogge_host::clock;
use kogge_host::tasks::{OnPanic, TaskGroup};
use kogge_model::agent::AgentInfo;
use kogge_model::health::Health;
use kogge_model::id::{AgentId, RunId, TaskId};
use kogge_model::link::{FromAgent, FromControl, ToAgent, ToControl};
use kogge_model::port::{Port, PortSet};
use kogge_model::reason::Reason;
use kogge_model::resources::{Bytes, CpuMillis, Resources};
use kogge_model::task::{Ended, Outcome, Running, TaskState, TaskStatus};
use tokio::sync::mpsc;

struct Wire(mpsc::Sender<FromControl>);

impl ToAgents for Wire {
    fn send(&self, _agent: &AgentId, message: FromControl) {
        // Control says everything again that is not answered.
        let _ = self.0.try_send(message);
    }
}

/// Between two signs of life.
const HEARTBEAT: Duration = Duration::from_millis(500);

/// What it says it runs: the newest state of each task, and what that takes.
type Tasks = BTreeMap<TaskId, (TaskStatus, Resources)>;

/// Starts the agent in `group`.
pub(crate) fn start(group: &TaskGroup) -> AgentLinks {
    let (told, mut orders) = mpsc::channel(256);
    let (say, incoming) = mpsc::channel(256);
    let token = group.token();
    group.spawn("agent", OnPanic::Log, async move {
        let mut tasks = Tasks::new();
        let mut signs = tokio::time::interval(HEARTBEAT);
        let mut word = register(&tasks);
        loop {
            if say.send(from(word)).await.is_err() {
                return;
            }
            word = loop {
                tokio::select! {
                    () = token.cancelled() => return,
                    Some(order) = orders.recv() => {
                        let order: FromControl = order;
                        if let Some(word) = answer(order.body, &mut tasks) {
                            break word;
                        }
                    }
                    _ = signs.tick() => break ToControl::Heartbeat,
                }
            };
        }
    });
    AgentLinks { incoming, outgoing: Arc::new(Wire(told)) }
}

fn register(tasks: &Tasks) -> ToControl {
    let living = tasks.iter().filter(|(_, (status, _))| !status.state.is_terminal());
    ToControl::Register {
        info: info(),
        cluster: None,
        term: Default::default(),
        tasks: tasks.values().map(|(status, _)| status.clone()).collect(),
        held: living.map(|(task, (_, resources))| (task.clone(), resources.clone())).collect(),
    }
}

fn from(body: ToControl) -> FromAgent {
    FromAgent { agent: AgentId::new("here"), body }
}

fn info() -> AgentInfo {
    let port = |number| Port::new(number).unwrap();
    AgentInfo {
        agent: AgentId::new("here"),
        name: "here".into(),
        address: IpAddr::V4(Ipv4Addr::LOCALHOST),
        resources: Resources {
            cpu_millis: CpuMillis(8_000),
            mem_bytes: Bytes::gib(8),
            disk_bytes: Bytes::gib(8),
            ports: PortSet::range(port(31_000), port(31_099)),
        },
        attributes: [("agent".to_owned(), "here".to_owned())].into(),
        version: "test".into(),
        closed: None,
    }
}

fn answer(order: ToAgent, tasks: &mut Tasks) -> Option<ToControl> {
    let (task, status, resources) = match order {
        ToAgent::Launch { run, spec } => {
            let running = Running {
                pid: 4711,
                started_at: clock::now(),
                ip: IpAddr::V4(Ipv4Addr::LOCALHOST),
                health: Health::Healthy,
            };
            let status = status(spec.task.clone(), run, 1, TaskState::Running(running));
            (spec.task.clone(), status, spec.resources.clone())
        }
        ToAgent::Kill { task, run, .. } => {
            let ended = Ended { at: clock::now(), outcome: Outcome::Killed, exit: None };
            (task.clone(), status(task, run, 2, TaskState::Ended(ended)), Resources::default())
        }
        ToAgent::Unknown => return Some(register(tasks)),
        ToAgent::Registered | ToAgent::Acknowledge { .. } | ToAgent::GrantLease { .. } => return None,
    };
    tasks.insert(task, (status.clone(), resources));
    Some(ToControl::Status(status))
}

fn status(task: TaskId, run: RunId, sequence: u64, state: TaskState) -> TaskStatus {
    let reason = Reason::new("as it was told");
    TaskStatus { task, run, agent: AgentId::new("here"), sequence, at: clock::now(), state, reason }
}
