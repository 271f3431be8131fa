//! How many tasks kernel and services place in a second of processor time.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use kogge_kernel as kernel;
use kogge_model::attribute::Constraint;
use kogge_model::id::{ClusterId, RevisionId, Term};
use kogge_model::link::{FromAgent, ToAgent, ToControl};
use kogge_model::name::ServiceId;
use kogge_model::port::Port;
use kogge_model::service::ServiceSpec;
use kogge_model::template::{Command, PortSpec};
use kogge_model::time::Timestamp;
use kogge_services::{self as services, Change};

use crate::machine::{ZONES, one_of_many};
use crate::pair::Pair;
use crate::people::service_id;

/// The instances of one service.
const SERVICE_SIZE: u32 = 1_000;

/// A cluster full of idle agents, and services that wait for being wanted.
pub struct Placing {
    pair: Pair,
    now: Timestamp,
    wanted: BTreeMap<ServiceId, Arc<ServiceSpec>>,
}

impl Placing {
    /// `agents` that have registered, and services with `tasks` instances in all, each with a constraint.
    #[must_use]
    pub fn prepare(agents: usize, tasks: u32) -> Self {
        let now = Timestamp::from_secs(1_000_000);
        let mut pair = Pair::new(now, ClusterId::new("placing"));
        for index in 0..agents {
            pair.tell_kernel(now, kernel::Input::FromAgent(register(index)));
        }
        Self { pair, now, wanted: wanted(tasks, SERVICE_SIZE) }
    }

    /// Wants everything at once and lets time pass until nothing more is placed. Tells how many tasks were launched.
    pub fn place(&mut self) -> u64 {
        let change = Change::Whole(self.wanted.clone());
        let desired = services::Input::Desired { revision: RevisionId(1), change };
        let said = self.pair.tell_services(self.now, desired);
        said.outbox.iter().filter(|(_, message)| matches!(message, ToAgent::Launch { .. })).count() as u64
    }

    /// Whether every constraint holds.
    #[must_use]
    pub fn is_as_wanted(&self) -> bool {
        let view = self.pair.kernel.view();
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
}

fn register(index: usize) -> FromAgent {
    let info = one_of_many(index);
    let agent = info.agent.clone();
    let (tasks, held) = (vec![], BTreeMap::new());
    FromAgent { agent, body: ToControl::Register { info, cluster: None, term: Term(0), tasks, held } }
}

/// Services of `each` instances, with `tasks` in all.
pub(crate) fn wanted(tasks: u32, each: u32) -> BTreeMap<ServiceId, Arc<ServiceSpec>> {
    let services = 0..tasks.div_ceil(each);
    let size = |index: u32| each.min(tasks - index * each);
    services.map(|index| (service_id(index as usize), Arc::new(wish(index, size(index))))).collect()
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
