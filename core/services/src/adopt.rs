//! A task that is not on record, because records were lost or its agent came back late. It is never killed for that
//! (G4): it is taken in where it belongs, or told of.

use std::sync::Arc;

use kogge_model::attribute::Attributes;
use kogge_model::digest::Digest;
use kogge_model::id::TaskId;
use kogge_model::name::{InstanceId, ServiceId};
use kogge_model::reason::Reason;
use kogge_model::task::{TaskState, TaskStatus};
use kogge_model::time::Timestamp;

use crate::chance::{parse_task_id, task_label};
use crate::effect::{Effect, Effects};
use crate::on_event::observe;
use crate::reporting::decided;
use crate::services::Services;
use crate::state::{Attempt, Instance, Phase};

impl Services {
    pub(crate) fn hear_of_unknown(&mut self, now: Timestamp, status: &TaskStatus, effects: &mut Effects) {
        if status.state.is_terminal() {
            return;
        }
        let Some((id, number)) = self.owner_of(&status.task) else {
            let text = format!("task {} on agent {} belongs to no service", status.task, status.agent);
            let reason =
                Reason::new(text).with_hint("it is left alone; end it on its agent if it is not needed");
            return effects.push(Effect::Explain(kogge_model::decision::Decision {
                at: now,
                service: None,
                instance: None,
                task: Some(status.task.clone()),
                verb: "report".into(),
                reason,
            }));
        };
        self.adopt(now, &id, number, status, effects);
    }

    /// The only service whose tasks are called like this one.
    fn owner_of(&self, task: &TaskId) -> Option<(ServiceId, u32)> {
        let (label, number) = parse_task_id(task.as_str())?;
        let mut owners = self.services.values().filter(|service| task_label(service.id()) == label);
        let owner = owners.next().filter(|service| service.version().is_some())?;
        owners.next().is_none().then(|| (owner.id().clone(), number))
    }

    fn adopt(
        &mut self,
        now: Timestamp,
        id: &ServiceId,
        number: u32,
        status: &TaskStatus,
        effects: &mut Effects,
    ) {
        let service = self.services.get_mut(id).expect("whoever calls has seen it");
        let is_free = |instance: &Instance| matches!(instance.phase, Phase::Waiting(_));
        let number = match service.instances.get(&number) {
            Some(other) if !is_free(other) => service.free_numbers(1)[0],
            Some(_) | None => number.max(1),
        };
        let wanted = service.version().expect("only services with a version own tasks");
        let version = service.record.last_good.as_ref().unwrap_or(wanted);
        // Nobody knows which ports it got. Where that matters it counts as outdated: it serves as capacity until one
        // that can be reached is healthy.
        let digest = match version.template.ports.is_empty() {
            true => version.digest,
            false => Digest::of(status.task.as_str().as_bytes()),
        };
        let mut instance = Instance {
            id: InstanceId { service: id.clone(), number },
            version: digest,
            template: Arc::clone(&version.template),
            restarts: 0,
            crashes: 0,
            is_adopted: true,
            past: Vec::new(),
            phase: Phase::Live(Attempt {
                task: status.task.clone(),
                agent: status.agent.clone(),
                attributes: Arc::new(Attributes::new()),
                run: None,
                launched_at: now,
                ports: Vec::new(),
                state: TaskState::Staging,
                reason: Reason::default(),
                sequence: 0,
                running_since: None,
                is_on_trial: false,
                healthy_since: None,
                was_healthy: false,
                moving: None,
            }),
        };
        decided(now, &instance, "adopt", "its task was found running without being on record", effects);
        observe(now, &mut instance, status.state.clone(), status, &self.config, effects);
        self.tasks.insert(status.task.clone(), instance.id.clone());
        self.touched_instances.insert(&instance.id);
        self.unsettled.insert(id.clone());
        service.instances.insert(number, Arc::new(instance));
    }
}
