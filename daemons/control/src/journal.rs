//! Every decision about a service or task, to be read afterwards (G23), within bounds (G24).
//!
//! What is decided of a service in one round is one record: a hundred instances that start at once are one write.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use kogge_model::decision::Decision;
use kogge_model::name::ServiceId;
use serde::{Deserialize, Serialize};

use crate::batch::Batch;
use crate::keys;

/// Decisions kept for each service; older ones are dropped.
pub(crate) const KEPT: usize = 100;

/// Records of a service; each has its slot.
const SLOTS: u64 = KEPT as u64;

/// Decisions of one round, with their place in their service's sequence.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Entry {
    number: u64,
    decision: Decision,
    /// Those that followed in the same round.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    then: Vec<Decision>,
    /// Whether it is still to be saved; more may come to it until then.
    #[serde(skip)]
    is_open: bool,
}

/// One service's, oldest first.
type Ring = VecDeque<Entry>;

/// One ring a service, and one for what belongs to none.
#[derive(Debug, Default)]
pub(crate) struct Journal {
    rings: BTreeMap<Option<ServiceId>, Ring>,
    /// Those with something that is not saved yet.
    open: BTreeSet<Option<ServiceId>>,
    /// Slots whose decisions were dropped since the last saving.
    dropped: Vec<kogge_store::Key>,
}

impl Entry {
    fn len(&self) -> usize {
        1 + self.then.len()
    }

    fn last(&self) -> &Decision {
        self.then.last().unwrap_or(&self.decision)
    }

    fn slot(&self) -> kogge_store::Key {
        slot(self.decision.service.as_ref(), self.number % SLOTS)
    }
}

/// Drops the oldest of `ring` that the bound has no room for.
fn trim(ring: &mut Ring) -> Vec<Entry> {
    let mut dropped = Vec::new();
    let mut count: usize = ring.iter().map(Entry::len).sum();
    while let Some(oldest) = ring.front().filter(|oldest| count - oldest.len() >= KEPT) {
        count -= oldest.len();
        dropped.extend(ring.pop_front());
    }
    dropped
}

impl Journal {
    /// From what the store holds.
    pub(crate) fn restore(entries: impl IntoIterator<Item = Entry>) -> Self {
        let mut rings: BTreeMap<_, Vec<Entry>> = BTreeMap::new();
        for entry in entries {
            rings.entry(entry.decision.service.clone()).or_default().push(entry);
        }
        let sorted = rings.into_iter().map(|(service, mut entries)| {
            entries.sort_by_key(|entry| entry.number);
            let mut ring = Ring::from(entries);
            trim(&mut ring);
            (service, ring)
        });
        Self { rings: sorted.collect(), ..Self::default() }
    }

    /// Goes on to what the store holds in `slot` now: a service's path, `/`, and a number.
    pub(crate) fn follow(&mut self, slot: &str, entry: Option<Entry>) {
        let Some((path, number)) = slot.rsplit_once('/') else { return };
        let Ok(number) = number.parse::<u64>() else { return };
        let service = (!path.is_empty()).then(|| path.parse()).transpose();
        let Ok(service) = service else { return };
        let ring = self.rings.entry(service.clone()).or_default();
        ring.retain(|old| old.number % SLOTS != number);
        if let Some(entry) = entry {
            let place = ring.partition_point(|old| old.number < entry.number);
            ring.insert(place, entry);
            trim(ring);
        }
        if ring.is_empty() {
            self.rings.remove(&service);
        }
    }

    /// Remembers `decision`. The same decision again in a row (a wait that goes on) is kept once.
    pub(crate) fn add(&mut self, decision: Decision) {
        let ring = self.rings.entry(decision.service.clone()).or_default();
        let is_repeat = ring.back().map(Entry::last).is_some_and(|last| {
            (&last.verb, &last.reason, &last.task) == (&decision.verb, &decision.reason, &decision.task)
        });
        if is_repeat {
            return;
        }
        self.open.insert(decision.service.clone());
        match ring.back_mut().filter(|last| last.is_open && last.len() < KEPT) {
            Some(last) => last.then.push(decision),
            None => {
                let number = ring.back().map_or(0, |last| last.number + 1);
                ring.push_back(Entry { number, decision, then: Vec::new(), is_open: true });
            }
        }
        self.dropped.extend(trim(ring).iter().map(Entry::slot));
    }

    /// Puts what was added since the last time into `batch`.
    pub(crate) fn save(&mut self, batch: &mut Batch) {
        // First: the slot of one may be that of another one that follows.
        self.dropped.drain(..).for_each(|slot| batch.delete(slot));
        for service in std::mem::take(&mut self.open) {
            let ring = self.rings.get_mut(&service).into_iter().flatten();
            for entry in ring.filter(|entry| entry.is_open) {
                entry.is_open = false;
                batch.put(entry.slot(), entry);
            }
        }
    }

    /// The newest first.
    pub(crate) fn of<'a>(&'a self, service: Option<&ServiceId>) -> impl Iterator<Item = &'a Decision> {
        let entries = self.rings.get(&service.cloned()).into_iter().flat_map(|ring| ring.iter().rev());
        entries.flat_map(|entry| entry.then.iter().rev().chain([&entry.decision]))
    }

    /// The services with decisions, those with the oldest last word first.
    pub(crate) fn oldest_first(&self) -> impl Iterator<Item = &ServiceId> {
        let last_word = |ring: &Ring| ring.back().map(|entry| entry.last().at);
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
            batch.delete(entry.slot());
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

    fn verbs(journal: &Journal) -> Vec<&str> {
        let service = "shop".parse().unwrap();
        journal.of(Some(&service)).map(|decision| decision.verb.as_str()).collect()
    }

    /// What a store holds after `batches`, read back.
    fn reread(batches: Vec<Batch>) -> Journal {
        let mut store = BTreeMap::new();
        for batch in batches {
            for (key, value) in batch.into_writes() {
                match value {
                    Some(value) => drop(store.insert(key, value)),
                    None => drop(store.remove(&key)),
                }
            }
        }
        assert!(store.len() <= KEPT, "{} records", store.len());
        Journal::restore(store.values().map(|value| serde_json::from_slice(value).unwrap()))
    }

    #[test]
    fn only_the_last_hundred_are_kept_and_repeats_once() {
        let (mut journal, mut batches) = (Journal::default(), Vec::new());
        for n in 0..250 {
            let mut batch = Batch::default();
            journal.add(decision(&format!("v{n}")));
            journal.add(decision(&format!("v{n}")));
            journal.save(&mut batch);
            batches.push(batch);
        }
        let told = verbs(&journal);
        assert_eq!((told.len(), told[0], told[99]), (100, "v249", "v150"));
        assert_eq!(verbs(&reread(batches)), told);
    }

    #[test]
    fn what_is_decided_in_one_round_is_one_record() {
        let (mut journal, mut batches) = (Journal::default(), Vec::new());
        for round in 0..30 {
            let mut batch = Batch::default();
            (0..10).for_each(|n| journal.add(decision(&format!("v{round}.{n}"))));
            journal.save(&mut batch);
            assert_eq!(batch.writes().filter(|(_, value)| value.is_some()).count(), 1);
            batches.push(batch);
        }
        let told = verbs(&journal);
        assert_eq!((told.len(), told[0], told[99]), (100, "v29.9", "v20.0"));
        assert_eq!(verbs(&reread(batches)), told);
    }

    #[test]
    fn a_round_of_very_many_decisions_keeps_the_last_of_them() {
        let (mut journal, mut batch) = (Journal::default(), Batch::default());
        (0..1_000).for_each(|n| journal.add(decision(&format!("v{n}"))));
        journal.save(&mut batch);
        let told = verbs(&journal);
        assert_eq!((told[0], told[99]), ("v999", "v900"));
        assert!(told.len() < 2 * KEPT);
        assert_eq!(verbs(&reread(vec![batch])), told);
    }

    #[test]
    fn an_older_program_reads_the_first_of_a_record() {
        #[derive(Deserialize)]
        struct Older {
            number: u64,
            decision: Decision,
        }
        let (mut journal, mut batch) = (Journal::default(), Batch::default());
        (0..3).for_each(|n| journal.add(decision(&format!("v{n}"))));
        journal.save(&mut batch);
        let (_, value) = batch.writes().next().unwrap();
        let older: Older = serde_json::from_slice(value.unwrap()).unwrap();
        assert_eq!((older.number, older.decision.verb.as_str()), (0, "v0"));
    }
}
