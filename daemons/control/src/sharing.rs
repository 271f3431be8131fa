//! What records have in common: as they come out of the store each has its own, in a leader that made them it is kept
//! once. For a hundred thousand instances the difference is hundreds of MiB.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use kogge_kernel::TaskRecord;
use kogge_model::attribute::Attributes;
use kogge_model::id::AgentId;
use kogge_model::name::{InstanceId, ServiceId};
use kogge_model::template::TaskTemplate;
use kogge_services::Instance;

/// Different ones of a key that are looked through: a service rarely has more than two versions at once.
const VARIANTS: usize = 8;

/// Values of which those that are equal, under one key, become one.
#[derive(Debug)]
struct Shared<K, T>(BTreeMap<K, Vec<Arc<T>>>);

/// All that was seen so far. Records may be read on several threads.
#[derive(Debug, Default)]
pub(crate) struct Sharing(Mutex<Seen>);

#[derive(Debug, Default)]
struct Seen {
    services: BTreeSet<ServiceId>,
    agents: BTreeSet<AgentId>,
    templates: Shared<ServiceId, TaskTemplate>,
    attributes: Shared<AgentId, Attributes>,
}

impl Sharing {
    pub(crate) fn share_instance(&self, instance: &mut Instance) {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        share(&mut seen.services, &mut instance.id.service);
        seen.templates.share(&instance.id.service, &mut instance.template);
        if let Some(attempt) = instance.attempt_mut() {
            share(&mut seen.agents, &mut attempt.agent);
            seen.attributes.share(&attempt.agent, &mut attempt.attributes);
        }
    }

    pub(crate) fn share_task(&self, task: &mut TaskRecord) {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        share(&mut seen.agents, &mut task.status.agent);
        let spec = Arc::make_mut(&mut task.spec);
        if let Some(InstanceId { service, .. }) = &mut spec.instance {
            share(&mut seen.services, service);
            seen.templates.share(service, &mut spec.template);
        }
    }
}

/// Puts the equal one that is known in place of `value`, if there is one.
fn share<T: Ord + Clone>(known: &mut BTreeSet<T>, value: &mut T) {
    match known.get(value) {
        Some(same) => value.clone_from(same),
        None => drop(known.insert(value.clone())),
    }
}

impl<K, T> Default for Shared<K, T> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<K: Ord + Clone, T: Eq> Shared<K, T> {
    /// Puts the equal one that is known in place of `value`, if there is one.
    fn share(&mut self, key: &K, value: &mut Arc<T>) {
        let Some(known) = self.0.get_mut(key) else {
            self.0.insert(key.clone(), vec![Arc::clone(value)]);
            return;
        };
        match known.iter().find(|known| *known == value) {
            Some(same) => *value = Arc::clone(same),
            None if known.len() < VARIANTS => known.push(Arc::clone(value)),
            None => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn template(restart_count: u64) -> Arc<TaskTemplate> {
        Arc::new(TaskTemplate { restart_count, ..TaskTemplate::default() })
    }

    #[test]
    fn equal_templates_of_a_service_become_one_and_others_stay_what_they_are() {
        let mut templates = Shared::default();
        let service: ServiceId = "/prod/shop".parse().unwrap();
        let mut seen: Vec<_> = [1, 2, 1, 2, 1].map(template).into();
        let before = seen.clone();
        seen.iter_mut().for_each(|template| templates.share(&service, template));
        assert_eq!(seen, before);
        assert!(Arc::ptr_eq(&seen[0], &seen[2]) && Arc::ptr_eq(&seen[1], &seen[3]));
        let mut elsewhere = template(1);
        templates.share(&"/prod/other".parse().unwrap(), &mut elsewhere);
        assert!(!Arc::ptr_eq(&elsewhere, &seen[0]));
    }
}
