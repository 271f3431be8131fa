//! Every decision about a service or task, to be read afterwards (G23), within bounds (G24).

use std::collections::{BTreeMap, VecDeque};

use kogge_model::decision::Decision;
use kogge_model::name::ServiceId;
use serde::{Deserialize, Serialize};

use crate::batch::Batch;
use crate::keys;

/// Decisions kept for each service; older ones are overwritten.
pub(crate) const KEPT: u64 = 100;

/// A decision with its place in its service's sequence.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Entry {
    number: u64,
    decision: Decision,
}

/// One ring a service, and one for what belongs to none.
#[derive(Debug, Default)]
pub(crate) struct Journal {
    rings: BTreeMap<Option<ServiceId>, VecDeque<Entry>>,
}

impl Journal {
    /// From what the store holds.
    pub(crate) fn restore(entries: impl IntoIterator<Item = Entry>) -> Self {
        let mut rings: BTreeMap<_, Vec<Entry>> = BTreeMap::new();
        for entry in entries {
            rings.entry(entry.decision.service.clone()).or_default().push(entry);
        }
        let sorted = rings.into_iter().map(|(service, mut ring)| {
            ring.sort_by_key(|entry| entry.number);
            (service, VecDeque::from(ring))
        });
        Self { rings: sorted.collect() }
    }

    /// Remembers `decision`. The same decision again in a row (a wait that goes on) is kept once.
    pub(crate) fn add(&mut self, decision: Decision, batch: &mut Batch) {
        let ring = self.rings.entry(decision.service.clone()).or_default();
        let is_repeat = ring.back().is_some_and(|last| {
            let last = &last.decision;
            (&last.verb, &last.reason, &last.task) == (&decision.verb, &decision.reason, &decision.task)
        });
        if is_repeat {
            return;
        }
        let entry = Entry { number: ring.back().map_or(0, |last| last.number + 1), decision };
        batch.put(slot(entry.decision.service.as_ref(), entry.number % KEPT), &entry);
        ring.push_back(entry);
        if ring.len() as u64 > KEPT {
            ring.pop_front();
        }
    }

    /// The newest first.
    pub(crate) fn of<'a>(&'a self, service: Option<&ServiceId>) -> impl Iterator<Item = &'a Decision> {
        self.rings
            .get(&service.cloned())
            .into_iter()
            .flat_map(|ring| ring.iter().rev().map(|entry| &entry.decision))
    }

    /// The services with decisions, those with the oldest last word first.
    pub(crate) fn oldest_first(&self) -> impl Iterator<Item = &ServiceId> {
        let last_word = |ring: &VecDeque<Entry>| ring.back().map(|entry| entry.decision.at);
        let mut services: Vec<_> = self
            .rings
            .iter()
            .filter_map(|(service, ring)| Some((last_word(ring)?, service.as_ref()?)))
            .collect();
        services.sort();
        services.into_iter().map(|(_, service)| service)
    }

    /// Forgets a service that is gone for good.
    pub(crate) fn forget(&mut self, service: &ServiceId, batch: &mut Batch) {
        for entry in self.rings.remove(&Some(service.clone())).unwrap_or_default() {
            batch.delete(slot(Some(service), entry.number % KEPT));
        }
    }
}

fn slot(service: Option<&ServiceId>, slot: u64) -> kogge_store::Key {
    keys::under(keys::DECISIONS, format_args!("{}/{slot}", service.map(ServiceId::path).unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use kogge_model::reason::Reason;
    use kogge_model::time::Timestamp;

    use super::*;

    fn decision(verb: &str) -> Decision {
        Decision {
            at: Timestamp::ZERO,
            service: Some("shop".parse().unwrap()),
            instance: None,
            task: None,
            verb: verb.into(),
            reason: Reason::new("because"),
        }
    }

    #[test]
    fn only_the_last_hundred_are_kept_and_repeats_once() {
        let mut journal = Journal::default();
        let mut batch = Batch::default();
        for n in 0..250 {
            journal.add(decision(&format!("v{n}")), &mut batch);
            journal.add(decision(&format!("v{n}")), &mut batch);
        }
        let service = "shop".parse().unwrap();
        let verbs: Vec<&str> = journal.of(Some(&service)).map(|decision| decision.verb.as_str()).collect();
        assert_eq!((verbs.len(), verbs[0], verbs[99]), (100, "v249", "v150"));
    }
}
