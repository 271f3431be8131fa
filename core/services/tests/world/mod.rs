//! A world for services: a small kernel with agents, a store, a tree and a router, all in memory and at once.
//!
//! After each input it checks what must always hold; see [`World::check_decision`].

#![allow(dead_code, reason = "each test uses its own part of the world")]
#![allow(unreachable_pub, reason = "the module is shared by several tests")]

pub mod follower;
mod kernel;
pub mod script;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use kogge_model::health::{Health, HealthCheck, Probe};
use kogge_model::id::{RevisionId, TaskId};
use kogge_model::name::{InstanceId, ServiceId};
use kogge_model::port::Port;
use kogge_model::reason::Reason;
use kogge_model::service::{ServiceSpec, UpgradePolicy};
use kogge_model::task::{Ended, Exit, Outcome, Running, TaskState};
use kogge_model::template::{Command, PortSpec};
use kogge_model::time::Timestamp;
use kogge_services::{Change, Config, Effect, Effects, Input, Phase, Records, Services, Stage};

pub use kernel::Kernel;

/// What tasks of a version do by themselves once they are launched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Behaviour {
    /// Nothing: the test tells each step.
    Manual,
    /// Runs and is healthy, ends at once when told to.
    Healthy,
    /// Runs, but its check never succeeds.
    Starting,
    /// Ends with exit code 1 as soon as it runs.
    Crash,
    /// Its agent refuses it.
    Reject,
}

/// Everything around services.
pub struct World {
    pub now: Timestamp,
    pub services: Services,
    pub kernel: Kernel,
    pub behaviours: BTreeMap<String, Behaviour>,
    pub tree: BTreeMap<ServiceId, Arc<ServiceSpec>>,
    pub revision: RevisionId,
    /// Whether the router answers at once that a task is drained.
    pub is_router_quick: bool,
    /// Whether a wish to go back is written into the tree.
    pub is_tree_open: bool,
    /// What was said, for transcripts.
    pub said: Vec<String>,
    records: follower::Saved,
    boots: u8,
    pub has_lost_records: bool,
}

impl World {
    pub fn new() -> Self {
        let mut world = Self {
            now: Timestamp::from_secs(1_000),
            services: Services::new(Config::default(), [1; 32]),
            kernel: Kernel::default(),
            behaviours: BTreeMap::new(),
            tree: BTreeMap::new(),
            revision: RevisionId(0),
            is_router_quick: true,
            is_tree_open: true,
            said: Vec::new(),
            records: (BTreeMap::new(), BTreeMap::new()),
            boots: 1,
            has_lost_records: false,
        };
        world.input(Input::Connected);
        world
    }

    /// Takes in one input and lets the kernel, the tree and the router answer until all are silent.
    pub fn input(&mut self, input: Input) {
        let mut inputs = VecDeque::from([input]);
        for _ in 0..100_000 {
            let Some(input) = inputs.pop_front() else {
                inputs.extend(self.kernel.next_event().map(Input::FromKernel));
                if inputs.is_empty() {
                    return;
                }
                continue;
            };
            let effects = self.handle(input);
            for effect in effects {
                inputs.extend(self.obey(effect));
            }
            self.act();
        }
        panic!("services and the kernel never fall silent");
    }

    fn handle(&mut self, input: Input) -> Effects {
        let (healthy_before, known_before) = (self.healthy_tasks(), self.instances());
        let mut effects = Effects::new();
        self.services.handle(self.now, input, &mut effects);
        let stages: Vec<Stage> = effects.iter().map(Effect::stage).collect();
        assert!(stages.is_sorted(), "first persist, then send, then acknowledge: {effects:?}");
        self.check_decision(&healthy_before, &known_before);
        self.check_order_of_records(&effects);
        effects
    }

    fn instances(&self) -> BTreeSet<InstanceId> {
        let instances = self.services.iter().flat_map(|service| service.instances.values());
        instances.map(|instance| instance.id.clone()).collect()
    }

    /// Nobody healthy is stopped below the minimum, and nothing is launched over the maximum.
    fn check_decision(
        &self,
        healthy_before: &BTreeMap<TaskId, ServiceId>,
        known_before: &BTreeSet<InstanceId>,
    ) {
        let healthy = self.healthy_tasks();
        for service in self.services.iter() {
            let of =
                |tasks: &BTreeMap<TaskId, ServiceId>| tasks.values().filter(|id| *id == service.id()).count();
            let stopped = service.instances.values().filter(|instance| {
                let is_kernel_healthy = instance.attempt().is_some_and(|a| self.kernel.is_healthy(&a.task));
                let was = instance.attempt().is_some_and(|a| healthy_before.contains_key(&a.task));
                instance.is_leaving() && was && is_kernel_healthy
            });
            let least =
                usize::try_from(service.version().map_or(0, |version| version.spec.min_healthy())).unwrap();
            assert!(
                stopped.count() == 0 || of(&healthy) >= least,
                "{} fell to {} healthy, the minimum is {least}",
                service.id(),
                of(&healthy)
            );
        }
        for id in self.instances().difference(known_before) {
            let service = self.services.get(&id.service).expect("its instance was just seen");
            if service.instances[&id.number].is_adopted {
                continue;
            }
            let total = service.instances.len();
            let most = service.version().map_or(0, |version| version.spec.max_total());
            assert!(total <= usize::try_from(most).unwrap(), "{id} makes {total}, the maximum is {most}");
        }
    }

    /// A store that took only the first of these would still have a service for each instance.
    fn check_order_of_records(&self, effects: &[Effect]) {
        let mut services: BTreeSet<&ServiceId> = self.records.0.keys().collect();
        let mut instances: BTreeSet<&InstanceId> = self.records.1.keys().collect();
        for effect in effects {
            match effect {
                Effect::SaveService(record) => drop(services.insert(&record.service)),
                Effect::ForgetService(id) => drop(services.remove(id)),
                Effect::SaveInstance(instance) => drop(instances.insert(&instance.id)),
                Effect::ForgetInstance(id) => drop(instances.remove(id)),
                Effect::Call(_) | Effect::RollBack { .. } | Effect::Explain(_) | Effect::Announce(_) => {}
            }
            let orphan = instances.iter().find(|id| !services.contains(&id.service));
            assert!(orphan.is_none() || self.has_lost_records, "{orphan:?} is on record without its service");
        }
    }

    /// What services believe to be healthy and staying.
    fn healthy_tasks(&self) -> BTreeMap<TaskId, ServiceId> {
        let instances = self.services.iter().flat_map(|service| service.instances.values());
        let healthy = instances.filter(|instance| instance.is_healthy());
        healthy.map(|i| (i.attempt().unwrap().task.clone(), i.id.service.clone())).collect()
    }

    fn obey(&mut self, effect: Effect) -> Vec<Input> {
        self.said.extend(script::tell(&effect));
        match effect {
            Effect::SaveService(record) => {
                self.records.0.insert(record.service.clone(), through_json(&*record));
            }
            Effect::ForgetService(id) => {
                self.records.0.remove(&id);
            }
            Effect::SaveInstance(instance) => {
                self.records.1.insert(instance.id.clone(), through_json(&*instance));
            }
            Effect::ForgetInstance(id) => {
                self.records.1.remove(&id);
            }
            Effect::Call(call) => self.kernel.obey(self.now, call),
            Effect::RollBack { service, to, undone, .. } => {
                let is_still_bad =
                    self.services.get(&service).and_then(|s| s.version()).unwrap().revision == undone;
                if self.is_tree_open && is_still_bad {
                    return vec![self.write([(service, Some(to))])];
                }
            }
            Effect::Explain(_) | Effect::Announce(_) => {}
        }
        Vec::new()
    }

    /// What happens by itself: tasks behave, the router drains.
    fn act(&mut self) {
        for (task, version, state) in self.kernel.alive() {
            let behaviour = self.behaviours.get(&version).copied().unwrap_or(Behaviour::Healthy);
            let (is_launched, is_told_to_end) = (state == TaskState::Staging, self.kernel.is_killed(&task));
            match behaviour {
                Behaviour::Manual => {}
                _ if is_told_to_end => self.end(&task, Outcome::Killed, Some(Exit::Signal { signal: 15 })),
                Behaviour::Healthy if is_launched => self.run(&task, Health::Healthy),
                Behaviour::Starting if is_launched => self.run(&task, Health::Starting),
                Behaviour::Crash if is_launched => {
                    self.run(&task, Health::Healthy);
                    self.end(&task, Outcome::Failed, Some(Exit::Code { code: 1 }));
                }
                Behaviour::Reject if is_launched => self.end(&task, Outcome::Rejected, None),
                Behaviour::Healthy | Behaviour::Starting | Behaviour::Crash | Behaviour::Reject => {}
            }
        }
    }

    pub fn run(&mut self, task: &TaskId, health: Health) {
        let state = TaskState::Running(Running {
            pid: 7,
            started_at: self.now,
            ip: std::net::IpAddr::from([127, 0, 0, 1]),
            health,
        });
        self.kernel.update(self.now, task, state, Reason::default());
    }

    pub fn end(&mut self, task: &TaskId, outcome: Outcome, exit: Option<Exit>) {
        let reason = match outcome {
            Outcome::Rejected => "image cannot be pulled: no such host".into(),
            Outcome::Lost => "its agent is gone".into(),
            Outcome::Finished | Outcome::Failed | Outcome::Killed => Reason::default(),
        };
        let state = TaskState::Ended(Ended { at: self.now, outcome, exit });
        self.kernel.update(self.now, task, state, reason);
    }

    /// One revision with these changes; the input that tells of it.
    pub fn write(
        &mut self,
        changes: impl IntoIterator<Item = (ServiceId, Option<Arc<ServiceSpec>>)>,
    ) -> Input {
        self.revision = self.revision.next();
        let changes: BTreeMap<_, _> = changes.into_iter().collect();
        for (id, spec) in &changes {
            match spec {
                Some(spec) => self.tree.insert(id.clone(), Arc::clone(spec)),
                None => self.tree.remove(id),
            };
        }
        Input::Desired { revision: self.revision, change: Change::Changed(changes) }
    }

    /// Time passes, and services are called whenever they wish to be.
    pub fn wait(&mut self, time: Duration) {
        let end = self.now.plus(time);
        self.drain();
        while let Some(at) = self.services.next_wakeup().filter(|at| *at <= end) {
            self.now = self.now.max(at);
            self.input(Input::Tick);
            self.drain();
            let again = self.services.next_wakeup();
            assert!(again.is_none_or(|again| again > self.now), "a wake-up in the past: {again:?}");
        }
        self.now = end;
        if self.kernel.revive_due(self.now) {
            self.input(Input::Tick);
        }
    }

    /// The router says at once that it is done with whoever drains, if it is quick.
    pub fn drain(&mut self) {
        while self.is_router_quick {
            let instances = self.services.iter().flat_map(|service| service.instances.values());
            let draining = instances.filter(|instance| matches!(instance.phase, Phase::Draining { .. }));
            let Some(task) =
                draining.filter_map(|instance| instance.attempt()).map(|a| a.task.clone()).next()
            else {
                return;
            };
            self.input(Input::Drained { task });
        }
    }

    /// The process ends and starts again from what it has saved.
    pub fn restart(&mut self) {
        self.boots += 1;
        self.has_lost_records = false;
        let records = Records {
            services: self.records.0.values().cloned().collect(),
            instances: self.records.1.values().cloned().collect(),
        };
        self.services = Services::restore(self.now, Config::default(), [self.boots; 32], records).unwrap();
        self.kernel.disconnect();
        let change = Change::Whole(self.tree.clone());
        self.input(Input::Desired { revision: self.revision, change });
        self.input(Input::Connected);
    }

    /// The records in the store are gone.
    pub fn lose_records(&mut self) {
        self.records = (BTreeMap::new(), BTreeMap::new());
        self.has_lost_records = true;
    }

    /// The task that is this instance.
    pub fn task_of(&self, instance: &str) -> TaskId {
        let id: InstanceId = instance.parse().unwrap();
        let instance = self.services.get(&id.service).and_then(|service| service.instances.get(&id.number));
        instance
            .and_then(|instance| instance.attempt())
            .unwrap_or_else(|| panic!("{id} has no task"))
            .task
            .clone()
    }

    pub fn check_saved(&self) {
        for service in self.services.iter() {
            assert_eq!(self.records.0.get(service.id()), Some(&service.record));
            for instance in service.instances.values() {
                let Some(saved) = self.records.1.get(&instance.id) else {
                    let is_new = matches!(instance.phase, Phase::Waiting(_)) && instance.past.is_empty();
                    assert!(
                        is_new && (instance.restarts, instance.crashes) == (0, 0),
                        "{instance:?} is not saved"
                    );
                    continue;
                };
                assert_eq!(saved.attempt().map(|a| &a.task), instance.attempt().map(|a| &a.task));
                assert_eq!((saved.restarts, saved.crashes), (instance.restarts, instance.crashes));
            }
        }
        for id in self.records.1.keys() {
            let service = self.services.get(&id.service);
            assert!(
                service.is_some_and(|service| service.instance(id.number).is_some()),
                "{id} is only on record"
            );
        }
    }
}

/// What comes back from a store.
fn through_json<T: serde::Serialize + serde::de::DeserializeOwned>(record: &T) -> T {
    serde_json::from_slice(&serde_json::to_vec(record).unwrap()).unwrap()
}

/// A service that runs `version`, with a checked port unless it is said otherwise.
pub fn spec(version: &str, instances: u32) -> ServiceSpec {
    let mut spec = ServiceSpec { instances, ..ServiceSpec::default() };
    spec.template.command = Some(Command::Shell(version.to_owned()));
    spec.template.ports = vec![PortSpec { container_port: Port::new(8080), host_port: None }];
    spec.template.health = Some(HealthCheck::new(Probe::Tcp { port: 0 }));
    spec.upgrade = UpgradePolicy::default();
    spec
}
