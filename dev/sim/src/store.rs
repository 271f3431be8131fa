//! The server's store: what was committed survives, the rest never was.

use std::collections::BTreeMap;
use std::sync::Arc;

use kogge_kernel as kernel;
use kogge_model::id::{AgentId, FrameworkId, RevisionId, RunId, TaskId};
use kogge_model::name::{InstanceId, ServiceId};
use kogge_model::service::ServiceSpec;
use kogge_services as services;

/// Everything that was committed.
#[derive(Debug, Clone, Default)]
pub(crate) struct Store {
    pub(crate) term: u64,
    pub(crate) agents: BTreeMap<AgentId, kernel::AgentRecord>,
    pub(crate) frameworks: BTreeMap<FrameworkId, kernel::FrameworkRecord>,
    pub(crate) tasks: BTreeMap<TaskId, kernel::TaskRecord>,
    pub(crate) highest_run: RunId,
    pub(crate) services: BTreeMap<ServiceId, services::ServiceRecord>,
    pub(crate) instances: BTreeMap<InstanceId, services::Instance>,
    pub(crate) tree: Tree,
}

/// What people want, as its newest revision says.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Tree {
    pub(crate) revision: RevisionId,
    pub(crate) services: BTreeMap<ServiceId, Arc<ServiceSpec>>,
    /// The revision that last changed each.
    pub(crate) changed_in: BTreeMap<ServiceId, RevisionId>,
}

/// One write of a commit.
#[derive(Debug, Clone)]
pub(crate) enum Write {
    Kernel(kernel::Effect),
    Services(services::Effect),
    Tree(Tree),
}

impl Store {
    pub(crate) fn kernel_records(&self) -> kernel::Records {
        kernel::Records {
            agents: self.agents.values().cloned().collect(),
            frameworks: self.frameworks.values().cloned().collect(),
            tasks: self.tasks.values().cloned().collect(),
            highest_run: self.highest_run,
        }
    }

    pub(crate) fn service_records(&self) -> services::Records {
        services::Records {
            services: self.services.values().cloned().collect(),
            instances: self.instances.values().cloned().collect(),
        }
    }

    pub(crate) fn apply(&mut self, write: Write) {
        match write {
            Write::Kernel(effect) => self.apply_kernel(effect),
            Write::Services(effect) => self.apply_services(effect),
            Write::Tree(tree) => self.tree = tree,
        }
    }

    fn apply_kernel(&mut self, effect: kernel::Effect) {
        use kernel::Effect;
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
                unreachable!("only what is to be persisted is written")
            }
        }
    }

    fn apply_services(&mut self, effect: services::Effect) {
        use services::Effect;
        match effect {
            Effect::SaveService(record) => {
                self.services.insert(record.service.clone(), *record);
            }
            Effect::ForgetService(service) => drop(self.services.remove(&service)),
            Effect::SaveInstance(instance) => {
                self.instances.insert(instance.id.clone(), (*instance).clone());
            }
            Effect::ForgetInstance(instance) => drop(self.instances.remove(&instance)),
            Effect::Call(_) | Effect::RollBack { .. } | Effect::Explain(_) | Effect::Announce(_) => {
                unreachable!("only what is to be persisted is written")
            }
        }
    }
}
