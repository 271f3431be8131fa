//! A machine: the true core of its agent, a disk that survives it, and containers that survive both.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use kogge_model::agent::AgentInfo;
use kogge_model::attribute::Attributes;
use kogge_model::id::{AgentId, TaskId};
use kogge_model::port::{Port, PortSet};
use kogge_model::resources::{Bytes, CpuMillis, Resources};
use kogge_model::time::Timestamp;
use kogge_node::{self as node, Found, Node, NodeConfig};

use crate::container::{Container, State};

/// One machine.
#[derive(Debug, Clone)]
pub(crate) struct Machine {
    pub(crate) index: usize,
    pub(crate) size: Size,
    /// The agent's process; none while it is down.
    pub(crate) node: Option<Node>,
    /// Which agent process this is: words to an earlier one come to nothing.
    pub(crate) process: u32,
    /// Which boot of the machine this is.
    pub(crate) boot: u32,
    /// The boot whose session the server sends on; none while it has heard nothing from the machine.
    pub(crate) session: Option<u32>,
    /// It has no power, or just boots.
    pub(crate) dark_until: Timestamp,
    /// The agent does nothing until then.
    pub(crate) paused_until: Timestamp,
    /// What has reached it since it stood still, in order.
    pub(crate) unread: VecDeque<node::Input>,
    /// It never comes back.
    pub(crate) is_gone: bool,
    pub(crate) disk: Disk,
    /// What of the disk survives a loss of power for certain.
    synced: Disk,
    pub(crate) containers: BTreeMap<TaskId, Container>,
    /// Ends of leases that the agent's process knows, by its clock.
    pub(crate) leases: BTreeMap<TaskId, Timestamp>,
    /// Its steady clock is so many millionths too fast.
    pub(crate) drift_ppm: i64,
}

/// All clocks agree then. What began before 1970 would be hard to tell apart from never.
pub(crate) const BEGINNING: Timestamp = Timestamp::from_secs(1_000_000);

/// How large a machine is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Size {
    /// More than enough for all services of a run.
    Ample,
    /// Two are just enough for all wished instances, however they lie.
    Tight,
}

/// What the agent has written.
#[derive(Debug, Clone, Default)]
pub(crate) struct Disk {
    pub(crate) agent: node::AgentRecord,
    pub(crate) tasks: BTreeMap<TaskId, node::TaskRecord>,
}

/// The first of the ports a machine offers.
const FIRST_PORT: u16 = 31_000;

pub(crate) fn agent_id(index: usize) -> AgentId {
    AgentId::new(format!("m{index}"))
}

pub(crate) fn info(index: usize, size: Size) -> AgentInfo {
    let (cpu_millis, mem_bytes) = match size {
        Size::Ample => (CpuMillis(8_000), Bytes::gib(12)),
        Size::Tight => (CpuMillis(1_200), Bytes::mib(1_600)),
    };
    let zone = ["a", "b", "c"][index % 3];
    let attributes: Attributes = [
        ("agent", format!("m{index}")),
        ("hostname", format!("host{index}")),
        ("arch", "amd64".to_owned()),
        ("zone", zone.to_owned()),
    ]
    .into_iter()
    .map(|(key, value)| (key.to_owned(), value))
    .collect();
    let port = |number| Port::new(number).expect("it is not 0");
    AgentInfo {
        agent: agent_id(index),
        name: format!("host{index}"),
        address: std::net::IpAddr::from([10, 0, 0, u8::try_from(index + 1).expect("few machines")]),
        resources: Resources {
            cpu_millis,
            mem_bytes,
            disk_bytes: Bytes::gib(100),
            ports: PortSet::range(port(FIRST_PORT), port(FIRST_PORT + 63)),
        },
        attributes,
        version: "sim".into(),
        closed: None,
    }
}

/// Of a large cluster, as many agents lie in each.
pub(crate) const ZONES: usize = 5;

/// One of many agents of a large cluster. Its id ends with `-` and its number.
pub(crate) fn one_of_many(index: usize) -> AgentInfo {
    let mut info = info(0, Size::Ample);
    info.agent = AgentId::new(format!("agent-{index:05}"));
    info.name = format!("host-{index:05}");
    info.attributes = [
        ("agent", info.name.clone()),
        ("hostname", info.name.clone()),
        ("zone", format!("z{}", index % ZONES)),
        ("disk", if index.is_multiple_of(2) { "ssd" } else { "hdd" }.to_owned()),
    ]
    .map(|(key, value)| (key.to_owned(), value))
    .into();
    let port = |number| Port::new(number).expect("it is not 0");
    info.resources = Resources {
        cpu_millis: CpuMillis(16_000),
        mem_bytes: Bytes::gib(64),
        disk_bytes: Bytes::gib(500),
        ports: PortSet::range(port(31_000), port(32_000)),
    };
    info
}

fn scaled(at: Timestamp, of: i64, by: i64) -> Timestamp {
    let micros = i128::try_from(at.saturating_since(BEGINNING).as_micros()).unwrap_or(i128::MAX);
    let micros = micros.saturating_mul(of.into()) / i128::from(by);
    if at < BEGINNING {
        at
    } else {
        BEGINNING.plus(Duration::from_micros(u64::try_from(micros).unwrap_or(u64::MAX)))
    }
}

impl Machine {
    pub(crate) fn new(index: usize, size: Size) -> Self {
        Self {
            index,
            size,
            node: None,
            process: 0,
            boot: 1,
            session: None,
            dark_until: Timestamp::ZERO,
            paused_until: Timestamp::ZERO,
            unread: VecDeque::new(),
            is_gone: false,
            disk: Disk::default(),
            synced: Disk::default(),
            containers: BTreeMap::new(),
            leases: BTreeMap::new(),
            drift_ppm: 0,
        }
    }

    pub(crate) fn id(&self) -> AgentId {
        agent_id(self.index)
    }

    /// What its clock says at `now`.
    pub(crate) fn clock(&self, now: Timestamp) -> Timestamp {
        scaled(now, 1_000_000 + self.drift_ppm, 1_000_000)
    }

    /// When its clock says `at`, or a moment later.
    pub(crate) fn truly(&self, at: Timestamp) -> Timestamp {
        scaled(at, 1_000_000, 1_000_000 + self.drift_ppm).plus(Duration::from_micros(2))
    }

    /// When its agent wants to be woken.
    pub(crate) fn next_wakeup(&self) -> Option<Timestamp> {
        let node = self.node.as_ref()?;
        let due = if self.unread.is_empty() { self.truly(node.next_wakeup()?) } else { self.paused_until };
        Some(due.max(self.paused_until))
    }

    /// A new agent process, as its disk remembers; first it looks at what is left of its tasks.
    pub(crate) fn boot_agent(&mut self, seed: [u8; 32]) -> Vec<node::Input> {
        let config = NodeConfig::new(info(self.index, self.size), format!("boot-{}", self.boot));
        let tasks = self.disk.tasks.values().cloned().collect();
        let agent = Node::restore(config, seed, self.disk.agent.clone(), tasks);
        let mut inputs: Vec<node::Input> = agent
            .recovering()
            .map(|task| node::Input::Recovered { task: task.clone(), found: self.find(task) })
            .collect();
        inputs.push(node::Input::LinkUp);
        self.process += 1;
        self.unread.clear();
        self.leases.clear();
        self.node = Some(agent);
        inputs
    }

    fn find(&self, task: &TaskId) -> Found {
        self.containers.get(task).map_or(Found::Nothing, Container::found)
    }

    /// The agent's process dies; containers live on. A start it was at may or may not have come through.
    pub(crate) fn crash_agent(&mut self, now: Timestamp, mut has_come_through: impl FnMut() -> bool) {
        self.node = None;
        self.containers.retain(|_, container| {
            if !matches!(container.state, State::Starting { .. }) {
                return true;
            }
            let is_lease_over = container.lease_until.is_some_and(|until| until <= now);
            let is_up = has_come_through() && container.behaviour.can_start() && !is_lease_over;
            if is_up {
                container.run(now);
            }
            is_up
        });
    }

    /// What was written so far is safe.
    pub(crate) fn sync(&mut self) {
        self.synced = self.disk.clone();
    }

    /// The machine loses power: nothing that runs survives, and of what was written lately perhaps nothing. Tells which
    /// tasks it does not remember any more.
    pub(crate) fn lose_power(&mut self, is_disk_rolled_back: bool) -> Vec<TaskId> {
        let mut forgotten = Vec::new();
        if is_disk_rolled_back {
            let before = std::mem::replace(&mut self.disk, self.synced.clone());
            forgotten.extend(before.tasks.into_keys().filter(|task| !self.disk.tasks.contains_key(task)));
        }
        self.node = None;
        self.boot += 1;
        self.containers.clear();
        forgotten
    }

    pub(crate) fn write(&mut self, effect: node::Effect) {
        match effect {
            node::Effect::SaveAgent(record) => self.disk.agent = record,
            node::Effect::Save(record) => {
                self.disk.tasks.insert(record.task.clone(), *record);
            }
            node::Effect::Forget(task) => {
                self.disk.tasks.remove(&task);
            }
            _ => unreachable!("only what is to be persisted is written"),
        }
    }

    /// The lease that `task` lives on.
    pub(crate) fn lease_of(&self, task: &TaskId) -> Duration {
        let spec = self.disk.tasks.get(task).and_then(|record| record.spec.as_ref());
        spec.and_then(|spec| spec.template.lease()).map(|lease| lease.length()).unwrap_or_default()
    }

    /// Containers that are there: on their way up or running.
    pub(crate) fn present(&self) -> impl Iterator<Item = (&TaskId, &Container)> {
        self.containers.iter().filter(|(_, container)| container.is_present())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use kogge_model::id::RunId;
    use kogge_model::task::TaskSpec;
    use kogge_model::template::TaskTemplate;
    use kogge_model::variables::Variables;

    use super::*;

    #[test]
    fn what_comes_up_while_its_agent_dies_does_not_outlive_its_lease() {
        let (over, now, later) = (Timestamp::from_secs(5), Timestamp::from_secs(6), Timestamp::from_secs(7));
        for (lease_until, lives) in
            [(None, true), (Some(later), true), (Some(now), false), (Some(over), false)]
        {
            let task = TaskId::new("single");
            let spec = TaskSpec {
                task: task.clone(),
                instance: None,
                template: Arc::new(TaskTemplate::default()),
                resources: Resources::default(),
                ports: vec![],
                env: Variables::default(),
            };
            let mut machine = Machine::new(0, Size::Ample);
            let container = Container { lease_until, ..Container::new(RunId(1), Arc::new(spec)) };
            machine.containers.insert(task.clone(), container);
            machine.crash_agent(now, || true);
            assert_eq!(machine.containers.contains_key(&task), lives, "{lease_until:?}");
        }
    }
}
