//! Somebody who only looks at the records, and goes on with them now and then.

use std::collections::BTreeMap;

use kogge_model::name::{InstanceId, ServiceId};
use kogge_services::{Config, Instance, RecordChanges, Records, ServiceRecord, Services};

use super::World;

pub type Saved = (BTreeMap<ServiceId, ServiceRecord>, BTreeMap<InstanceId, Instance>);

pub struct Follower {
    services: Services,
    known: Saved,
}

/// What is another now, and what is gone.
fn difference<K: Ord + Clone, V: PartialEq + Clone>(
    old: &BTreeMap<K, V>,
    new: &BTreeMap<K, V>,
) -> (Vec<V>, Vec<K>) {
    let saved = new.iter().filter(|(key, value)| old.get(key) != Some(value));
    let gone = old.keys().filter(|key| !new.contains_key(key));
    (saved.map(|(_, value)| value.clone()).collect(), gone.cloned().collect())
}

impl Follower {
    pub fn new() -> Self {
        Self { services: Services::new(Config::default(), [7; 32]), known: Saved::default() }
    }

    /// It has what was saved, for whoever decides from now on.
    pub fn end(self, world: &World) {
        let Records { services, instances } = self.services.into_records();
        assert!(services.iter().eq(world.records.0.values()));
        assert!(instances.iter().eq(world.records.1.values()));
    }

    /// Goes on, and has what was saved, no more and no less.
    pub fn follow(&mut self, world: &World) {
        let (services, forgotten_services) = difference(&self.known.0, &world.records.0);
        let (instances, forgotten_instances) = difference(&self.known.1, &world.records.1);
        let saved = Records { services, instances };
        let tasks: Vec<_> =
            self.known.1.values().filter_map(|instance| instance.attempt()).cloned().collect();
        let changes = RecordChanges { saved, forgotten_services, forgotten_instances };
        self.services.follow(changes).expect("records that fit together");
        self.known = world.records.clone();
        let seen: BTreeMap<_, _> =
            self.services.iter().map(|service| (service.id().clone(), service.record.clone())).collect();
        assert_eq!(seen, self.known.0);
        let instances = self.services.iter().flat_map(|service| service.instances.values());
        let seen: BTreeMap<_, _> =
            instances.map(|instance| (instance.id.clone(), (**instance).clone())).collect();
        assert_eq!(seen, self.known.1);
        for instance in self.known.1.values() {
            let Some(attempt) = instance.attempt() else { continue };
            assert_eq!(self.services.instance_of(&attempt.task), Some(instance));
        }
        let is_known =
            |task| self.known.1.values().filter_map(Instance::attempt).any(|attempt| attempt.task == task);
        for attempt in tasks {
            let found = self.services.instance_of(&attempt.task).is_some();
            assert_eq!(found, is_known(attempt.task), "a task that is gone is nobody's");
        }
        assert_eq!(self.services.next_wakeup(), None);
    }
}
