//! How many tasks kernel and services place in a second of processor time.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use kogge_kernel::{self as kernel, Kernel};
use kogge_model::attribute::Constraint;
use kogge_model::id::{ClusterId, FrameworkId, RevisionId, Term};
use kogge_model::link::{FromAgent, ToAgent, ToControl};
use kogge_model::port::{Port, PortSet};
use kogge_model::resources::{Bytes, CpuMillis, Resources};
use kogge_model::service::ServiceSpec;
use kogge_model::template::{Command, PortSpec};
use kogge_model::time::Timestamp;
use kogge_services::{self as services, Change, Services};

use crate::machine;
use crate::people::service_id;

/// The instances of one service.
const SERVICE_SIZE: u32 = 1_000;
const ZONES: usize = 5;

/// A cluster full of idle agents, and services that wait for being wanted.
pub struct Placing {
    kernel: Kernel,
    services: Services,
    framework: FrameworkId,
    now: Timestamp,
    wanted: BTreeMap<kogge_model::name::ServiceId, Arc<ServiceSpec>>,
    placed: u64,
    saved: u64,
}

enum Word {
    Kernel(kernel::Input),
    Services(services::Input),
}

impl Placing {
    /// `agents` that have registered, and services with `tasks` instances in all, each with a constraint.
    #[must_use]
    pub fn prepare(agents: usize, tasks: u32) -> Self {
        let (now, config) = (Timestamp::from_secs(1_000_000), services::Config::default());
        let mut placing = Self {
            framework: config.framework.framework.clone(),
            kernel: Kernel::new(now, kernel::Config::new(ClusterId::new("placing"), Term(1))),
            services: Services::new(config, [7; 32]),
            now,
            wanted: (0..tasks.div_ceil(SERVICE_SIZE))
                .map(|index| {
                    let instances = SERVICE_SIZE.min(tasks - index * SERVICE_SIZE);
                    (service_id(index as usize), Arc::new(wish(index, instances)))
                })
                .collect(),
            placed: 0,
            saved: 0,
        };
        placing.converse(Word::Services(services::Input::Connected));
        for index in 0..agents {
            let message = register(index);
            placing.converse(Word::Kernel(kernel::Input::FromAgent(message)));
        }
        placing
    }

    /// Wants everything at once and lets time pass until nothing more is placed. Tells how many tasks were launched.
    pub fn place(&mut self) -> u64 {
        let change = Change::Whole(self.wanted.clone());
        self.converse(Word::Services(services::Input::Desired { revision: RevisionId(1), change }));
        self.placed
    }

    /// Records that were to be saved meanwhile.
    #[must_use]
    pub const fn saved(&self) -> u64 {
        self.saved
    }

    /// Whether every constraint holds.
    #[must_use]
    pub fn is_as_wanted(&self) -> bool {
        let view = self.kernel.view();
        view.tasks().all(|record| {
            let Some(instance) = &record.spec.instance else { return false };
            let agent = view.agent(&record.status.agent).map(|agent| &agent.info().attributes);
            let constraints = self.wanted.get(&instance.service).map(|spec| &spec.constraints);
            constraints.into_iter().flatten().all(|constraint| match constraint {
                Constraint::Is { key, value } => agent.and_then(|all| all.get(key)) == Some(value),
                Constraint::IsNot { key, value } => agent.and_then(|all| all.get(key)) != Some(value),
                Constraint::Unique { .. } | Constraint::Spread { .. } => true,
            })
        })
    }

    fn converse(&mut self, first: Word) {
        let mut words = VecDeque::from([first]);
        while let Some(word) = words.pop_front() {
            match word {
                Word::Kernel(input) => self.ask_kernel(input, &mut words),
                Word::Services(input) => self.ask_services(input, &mut words),
            }
        }
    }

    fn ask_kernel(&mut self, input: kernel::Input, words: &mut VecDeque<Word>) {
        let mut effects = Vec::new();
        self.kernel.handle(self.now, input, &mut effects);
        for effect in effects {
            match effect {
                kernel::Effect::ToFramework { event, .. } => {
                    words.push_back(Word::Services(services::Input::FromKernel(event)));
                }
                kernel::Effect::ToAgent { message: ToAgent::Launch { .. }, .. } => self.placed += 1,
                kernel::Effect::Save(_) => self.saved += 1,
                _ => {}
            }
        }
    }

    fn ask_services(&mut self, input: services::Input, words: &mut VecDeque<Word>) {
        let mut effects = Vec::new();
        self.services.handle(self.now, input, &mut effects);
        for effect in effects {
            match effect {
                services::Effect::Call(call) => {
                    let framework = self.framework.clone();
                    words.push_back(Word::Kernel(kernel::Input::FromFramework { framework, call }));
                }
                services::Effect::SaveInstance(_) | services::Effect::SaveService(_) => self.saved += 1,
                _ => {}
            }
        }
    }
}

fn register(index: usize) -> FromAgent {
    let mut info = machine::info(0, machine::Size::Ample);
    info.agent = kogge_model::id::AgentId::new(format!("agent-{index:05}"));
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
    let agent = info.agent.clone();
    let (tasks, held) = (vec![], BTreeMap::new());
    FromAgent { agent, body: ToControl::Register { info, cluster: None, term: Term(0), tasks, held } }
}

/// Each service asks something else of its places.
fn wish(index: u32, instances: u32) -> ServiceSpec {
    let zone = format!("z{}", index as usize % ZONES);
    let constraint = match index % 4 {
        0 => Constraint::Is { key: "zone".into(), value: zone },
        1 => Constraint::IsNot { key: "zone".into(), value: zone },
        2 => Constraint::Is { key: "disk".into(), value: "ssd".into() },
        _ => Constraint::Unique { key: "agent".into() },
    };
    let mut spec = ServiceSpec { instances, constraints: vec![constraint], ..ServiceSpec::default() };
    spec.template.command = Some(Command::Shell("true".into()));
    spec.template.ports = vec![PortSpec { container_port: Port::new(8080), host_port: None }];
    spec
}

/// Processor time this thread has used so far, as the system counts it.
#[must_use]
pub fn cpu_time() -> Option<Duration> {
    // The first number is the time on a processor in ns (Documentation/scheduler/sched-stats.rst).
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    text.split_whitespace().next()?.parse().ok().map(Duration::from_nanos)
}
