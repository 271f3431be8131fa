//! Tasks that are over, for `kogge ps --all` and for their logs; a bounded number a service (G24).

use std::collections::{BTreeMap, VecDeque};

use kogge_model::id::{AgentId, TaskId};
use kogge_model::name::{InstanceId, ServiceId};
use kogge_model::reason::Reason;
use kogge_model::task::{Ended, PortBinding, TaskState, TaskStatus};
use kogge_model::time::Timestamp;
use serde::{Deserialize, Serialize};

use crate::batch::Batch;
use crate::cloud::Cloud;
use crate::keys;
use crate::round::Round;

/// Ended tasks kept for each service.
const KEPT: u64 = 100;

/// What is remembered of an ended task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct EndedTask {
    number: u64,
    pub(crate) instance: InstanceId,
    pub(crate) task: TaskId,
    pub(crate) agent: AgentId,
    pub(crate) image: Option<String>,
    pub(crate) ports: Vec<PortBinding>,
    pub(crate) started_at: Option<Timestamp>,
    pub(crate) restarts: u32,
    pub(crate) ended: Ended,
    pub(crate) reason: Reason,
}

/// One ring a service.
#[derive(Debug, Default)]
pub(crate) struct EndedTasks {
    rings: BTreeMap<ServiceId, VecDeque<EndedTask>>,
}

impl EndedTasks {
    /// From what the store holds.
    pub(crate) fn restore(tasks: Vec<EndedTask>) -> Self {
        let mut rings: BTreeMap<ServiceId, VecDeque<EndedTask>> = BTreeMap::new();
        for task in tasks {
            rings.entry(task.instance.service.clone()).or_default().push_back(task);
        }
        for ring in rings.values_mut() {
            ring.make_contiguous().sort_by_key(|task| task.number);
        }
        Self { rings }
    }

    /// Goes on to what the store holds in `slot` now: a service's path, `/`, and a number.
    pub(crate) fn follow(&mut self, slot: &str, task: Option<EndedTask>) {
        let Some((path, number)) = slot.rsplit_once('/') else { return };
        let (Ok(service), Ok(number)) = (path.parse::<ServiceId>(), number.parse::<u64>()) else { return };
        let ring = self.rings.entry(service.clone()).or_default();
        ring.retain(|old| old.number % KEPT != number);
        if let Some(task) = task {
            let place = ring.partition_point(|old| old.number < task.number);
            ring.insert(place, task);
        }
        if ring.is_empty() {
            self.rings.remove(&service);
        }
    }

    /// The newest first.
    pub(crate) fn of(&self, service: &ServiceId) -> impl Iterator<Item = &EndedTask> {
        self.rings.get(service).into_iter().flat_map(|ring| ring.iter().rev())
    }

    /// Services with ended tasks, also those that are no longer wanted.
    pub(crate) fn services(&self) -> impl Iterator<Item = &ServiceId> {
        self.rings.keys()
    }

    fn add(&mut self, mut task: EndedTask, batch: &mut Batch) {
        let ring = self.rings.entry(task.instance.service.clone()).or_default();
        if ring.iter().any(|known| known.task == task.task) {
            return;
        }
        task.number = ring.back().map_or(0, |last| last.number + 1);
        batch.put(slot(&task.instance.service, task.number % KEPT), &task);
        ring.push_back(task);
        if ring.len() as u64 > KEPT {
            ring.pop_front();
        }
    }

    /// Forgets a service.
    pub(crate) fn forget(&mut self, service: &ServiceId, batch: &mut Batch) {
        for task in self.rings.remove(service).unwrap_or_default() {
            batch.delete(slot(service, task.number % KEPT));
        }
    }
}

fn slot(service: &ServiceId, slot: u64) -> kogge_store::Key {
    keys::under(keys::ENDED, format_args!("{}/{slot}", service.path()))
}

impl Cloud {
    /// Before `services` hears of an end, while it still knows when the task was started.
    pub(crate) fn remember_end(&mut self, status: &TaskStatus, round: &mut Round) {
        let TaskState::Ended(ended) = &status.state else { return };
        let Some(record) = self.kernel.view().task(&status.task) else { return };
        let Some(instance) = record.spec.instance.clone() else { return };
        let known =
            self.services.get(&instance.service).and_then(|service| service.instances.get(&instance.number));
        let attempt = known.and_then(|known| known.attempt()).filter(|attempt| attempt.task == status.task);
        let task = EndedTask {
            number: 0,
            task: status.task.clone(),
            agent: status.agent.clone(),
            image: record.spec.template.image.as_ref().map(|image| image.name.clone()),
            ports: record.spec.ports.clone(),
            started_at: attempt.and_then(|attempt| attempt.running_since),
            restarts: known.map_or(0, |known| known.restarts),
            ended: ended.clone(),
            reason: status.reason.clone(),
            instance,
        };
        self.ended.add(task, &mut round.batch);
    }
}
