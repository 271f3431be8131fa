//! What records have in common: as they come out of the store each has its own, in a leader that made them it is kept
//! once. For a hundred thousand instances the difference is hundreds of MiB.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

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

/// All that was seen so far, by several readers at once.
#[derive(Debug, Default)]
pub(crate) struct Sharing(Mutex<Seen>);

/// One of the readers. What it has seen once it does not ask the others for again.
#[derive(Debug)]
pub(crate) struct Reader<'a> {
    own: Seen,
    all: &'a Sharing,
}

#[derive(Debug, Default)]
struct Seen {
    services: BTreeSet<ServiceId>,
    agents: BTreeSet<AgentId>,
    templates: Shared<ServiceId, TaskTemplate>,
    attributes: Shared<AgentId, Attributes>,
}

impl Sharing {
    pub(crate) fn reader(&self) -> Reader<'_> {
        Reader { own: Seen::default(), all: self }
    }

    fn all(&self) -> MutexGuard<'_, Seen> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Reader<'_> {
    pub(crate) fn share_instance(&mut self, instance: &mut Instance) {
        self.share_service(&mut instance.id.service);
        self.share_template(&instance.id.service, &mut instance.template);
        let Some(attempt) = instance.attempt_mut() else { return };
        self.share_agent(&mut attempt.agent);
        if !self.own.attributes.find(&attempt.agent, &mut attempt.attributes) {
            self.all.all().attributes.share(&attempt.agent, &mut attempt.attributes);
            self.own.attributes.share(&attempt.agent, &mut attempt.attributes);
        }
    }

    pub(crate) fn share_task(&mut self, task: &mut TaskRecord) {
        self.share_agent(&mut task.status.agent);
        let spec = Arc::make_mut(&mut task.spec);
        if let Some(InstanceId { service, .. }) = &mut spec.instance {
            self.share_service(service);
            self.share_template(service, &mut spec.template);
        }
    }

    fn share_service(&mut self, service: &mut ServiceId) {
        if !find(&self.own.services, service) {
            share(&mut self.all.all().services, service);
            share(&mut self.own.services, service);
        }
    }

    fn share_agent(&mut self, agent: &mut AgentId) {
        if !find(&self.own.agents, agent) {
            share(&mut self.all.all().agents, agent);
            share(&mut self.own.agents, agent);
        }
    }

    fn share_template(&mut self, service: &ServiceId, template: &mut Arc<TaskTemplate>) {
        if !self.own.templates.find(service, template) {
            self.all.all().templates.share(service, template);
            self.own.templates.share(service, template);
        }
    }
}

/// Puts the equal one that is known in place of `value`; tells whether there is one.
fn find<T: Ord + Clone>(known: &BTreeSet<T>, value: &mut T) -> bool {
    let same = known.get(value);
    if let Some(same) = same {
        value.clone_from(same);
    }
    same.is_some()
}

/// The same, and knows it from now on.
fn share<T: Ord + Clone>(known: &mut BTreeSet<T>, value: &mut T) {
    if !find(known, value) {
        known.insert(value.clone());
    }
}

impl<K, T> Default for Shared<K, T> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<K: Ord + Clone, T: Eq> Shared<K, T> {
    /// Puts the equal one that is known in place of `value`; tells whether there is one.
    fn find(&self, key: &K, value: &mut Arc<T>) -> bool {
        let same = self.0.get(key).and_then(|known| known.iter().find(|known| *known == value));
        if let Some(same) = same {
            *value = Arc::clone(same);
        }
        same.is_some()
    }

    /// The same, and knows it from now on, unless there are too many.
    fn share(&mut self, key: &K, value: &mut Arc<T>) {
        if self.find(key, value) {
            return;
        }
        let known = self.0.entry(key.clone()).or_default();
        if known.len() < VARIANTS {
            known.push(Arc::clone(value));
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

    #[test]
    fn readers_share_with_each_other() {
        let sharing = Sharing::default();
        let (mut one, mut other) = (sharing.reader(), sharing.reader());
        let service: ServiceId = "/prod/shop".parse().unwrap();
        let (mut first, mut again, mut elsewhere) = (template(1), template(1), template(1));
        one.share_template(&service, &mut first);
        one.share_template(&service, &mut again);
        other.share_template(&service, &mut elsewhere);
        assert!(Arc::ptr_eq(&first, &again) && Arc::ptr_eq(&first, &elsewhere));
    }
}
