//! Instances: the living, the waiting and, if asked for, the ended.

use std::collections::BTreeSet;

use kogge_model::id::{AgentId, TaskId};
use kogge_model::name::{AppId, InstanceId, ServiceId};
use kogge_model::reason::Reason;
use kogge_model::task::{PortBinding, TaskState};
use kogge_model::view::{InstanceView, PortView};
use kogge_services::{Instance, Phase};

use crate::cloud::Cloud;
use crate::ended::EndedTask;
use crate::handle::Handle;
use crate::refusal::Refusal;

/// An instance that has or had a task.
#[derive(Debug, Clone, Copy)]
pub(crate) struct InstanceFacts<'a> {
    pub(crate) number: u32,
    pub(crate) task: &'a TaskId,
    pub(crate) agent: &'a AgentId,
    pub(crate) is_running: bool,
}

impl Handle {
    /// All instances of all services, in order; with `ended` also the tasks that are over.
    ///
    /// # Errors
    /// When control is ending.
    pub async fn instances(&self, ended: bool) -> Result<Vec<InstanceView>, Refusal> {
        self.look(move |cloud, _| {
            let services = cloud.known_services(ended);
            Ok(services.iter().flat_map(|service| cloud.instance_views(service, ended)).collect())
        })
        .await
    }
}

impl Cloud {
    /// Services that are wanted or still have instances; with `ended` also those that once had.
    pub(crate) fn known_services(&self, ended: bool) -> BTreeSet<ServiceId> {
        let mut services: BTreeSet<ServiceId> = self.tree.services().into_keys().collect();
        services.extend(self.services.iter().map(|service| service.id().clone()));
        if ended {
            services.extend(self.ended.services().cloned());
        }
        services
    }

    /// Instances that have a task.
    pub(crate) fn instances_of<'a>(&'a self, service: &ServiceId) -> impl Iterator<Item = InstanceFacts<'a>> {
        let known = self.services.get(service);
        let instances = known.into_iter().flat_map(|known| known.instances.values());
        instances.filter_map(|instance| {
            let attempt = instance.attempt()?;
            Some(InstanceFacts {
                number: instance.number(),
                task: &attempt.task,
                agent: &attempt.agent,
                is_running: matches!(attempt.state, TaskState::Running(_)),
            })
        })
    }

    /// The same, and those whose task is over.
    pub(crate) fn all_instances_of<'a>(
        &'a self,
        service: &ServiceId,
    ) -> impl Iterator<Item = InstanceFacts<'a>> {
        let living: BTreeSet<&TaskId> = self.instances_of(service).map(|instance| instance.task).collect();
        let ended = self.ended.of(service).map(|ended| InstanceFacts {
            number: ended.instance.number,
            task: &ended.task,
            agent: &ended.agent,
            is_running: false,
        });
        self.instances_of(service).chain(ended.filter(move |ended| !living.contains(ended.task)))
    }

    /// What a name means: an app with all its services, a service, or one instance of it.
    pub(crate) fn subjects(&self, of: Option<&str>) -> Result<(Vec<ServiceId>, Option<u32>), Refusal> {
        let known = self.known_services(true);
        let Some(name) = of else { return Ok((known.into_iter().collect(), None)) };
        if let Ok(instance) = name.parse::<InstanceId>() {
            let found = known.contains(&instance.service);
            return if found {
                Ok((vec![instance.service], Some(instance.number)))
            } else {
                Err(self.unknown(name))
            };
        }
        if let Ok(app) = name.parse::<AppId>() {
            let services: Vec<ServiceId> = known.into_iter().filter(|service| service.app == app).collect();
            return if services.is_empty() { Err(self.unknown(name)) } else { Ok((services, None)) };
        }
        match name.parse::<ServiceId>() {
            Ok(service) if known.contains(&service) => Ok((vec![service], None)),
            _ => Err(self.unknown(name)),
        }
    }

    /// The instances of one service.
    pub(crate) fn instance_views(&self, service: &ServiceId, ended: bool) -> Vec<InstanceView> {
        let known = self.services.get(service);
        let instances = known.into_iter().flat_map(|known| known.instances.values());
        let mut views: Vec<InstanceView> = instances.map(|instance| self.view_of(instance)).collect();
        if ended {
            let living: BTreeSet<String> = views.iter().map(|view| view.task.clone()).collect();
            let past = self.ended.of(service).filter(|past| !living.contains(past.task.as_str()));
            views.extend(past.map(|past| self.view_of_ended(past)));
        }
        views
    }

    fn view_of(&self, instance: &Instance) -> InstanceView {
        let attempt = instance.attempt();
        let running = instance.running();
        let reason = self.reason_of(instance);
        InstanceView {
            service: instance.id.service.to_string(),
            instance: instance.id.to_string(),
            task: attempt.map_or_else(String::new, |attempt| attempt.task.to_string()),
            state: state_word(instance).to_owned(),
            healthy: instance.is_healthy(),
            agent: attempt.map(|attempt| self.agent_name(&attempt.agent)),
            pid: running.map(|running| running.pid),
            ports: attempt.map_or_else(Vec::new, |attempt| port_views(&attempt.ports)),
            image: instance.template.image.as_ref().map(|image| image.name.clone()),
            started_at: running.map(|running| running.started_at.into()),
            ended_at: None,
            restarts: instance.restarts,
            lease_ms: instance.template.lease_ms,
            reason: Some(reason.text).filter(|text| !text.is_empty()),
            hint: reason.hint,
        }
    }

    fn reason_of(&self, instance: &Instance) -> Reason {
        match &instance.phase {
            Phase::Draining { reason, .. } | Phase::Killing { reason, .. } => reason.clone(),
            Phase::Live(attempt) => attempt.reason.clone(),
            Phase::Waiting(waiting) => {
                let last = instance.past.first().map(|past| past.reason.clone());
                waiting.shortfall.clone().or(last).unwrap_or_else(|| Reason::new("waits for a place"))
            }
        }
    }

    fn view_of_ended(&self, past: &EndedTask) -> InstanceView {
        InstanceView {
            service: past.instance.service.to_string(),
            instance: past.instance.to_string(),
            task: past.task.to_string(),
            state: TaskState::Ended(past.ended.clone()).word().to_owned(),
            healthy: false,
            agent: Some(self.agent_name(&past.agent)),
            pid: None,
            ports: port_views(&past.ports),
            image: past.image.clone(),
            started_at: past.started_at.map(Into::into),
            ended_at: Some(past.ended.at.into()),
            restarts: past.restarts,
            lease_ms: None,
            reason: Some(past.reason.text.clone()),
            hint: past.reason.hint.clone(),
        }
    }

    /// The agent's name for people.
    pub(crate) fn agent_name(&self, agent: &kogge_model::id::AgentId) -> String {
        let known = self.kernel.view().agent(agent);
        known.map_or_else(|| agent.to_string(), |known| known.info().name.clone())
    }
}

fn state_word(instance: &Instance) -> &'static str {
    match &instance.phase {
        Phase::Waiting(_) => "waiting",
        Phase::Live(attempt) => attempt.state.word(),
        Phase::Draining { .. } => "draining",
        Phase::Killing { .. } => "stopping",
    }
}

fn port_views(ports: &[PortBinding]) -> Vec<PortView> {
    let view = |port: &PortBinding| PortView {
        host_port: port.host_port.get(),
        container_port: port.container_port.get(),
        url: Some(format!("http://127.0.0.1:{}/", port.host_port)),
    };
    ports.iter().map(view).collect()
}
