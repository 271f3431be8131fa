//! All records at one revision, on their way from the store into the cores.
//!
//! An image knows the digest of what it holds, now and after each of its last changes, so that servers can find out
//! whether they hold the same (G5).

use std::collections::BTreeMap;

use kogge_store::{Entry, Event, Key, Range, ReadError, Revision, Store};
use serde::de::DeserializeOwned;

use crate::keys;
use crate::load::{LoadError, parse};
use crate::state_digest::StateDigest;
use crate::trail::Trail;

/// Entries read at once.
const PAGE: usize = 2_000;
/// Times that a list is begun anew because the store had forgotten its revision meanwhile.
const TRIES: usize = 5;

/// The state as it was at one revision.
#[derive(Debug, Clone, Default)]
pub(crate) struct Image {
    entries: BTreeMap<Key, Entry>,
    revision: Revision,
    digest: StateDigest,
    trail: Trail,
    /// When who may come in last changed.
    access_changed: Revision,
}

impl Image {
    /// Reads everything.
    pub(crate) async fn read(store: &dyn Store) -> Result<Self, ReadError> {
        let mut tries = 0;
        loop {
            tries += 1;
            match Self::list(store).await {
                Err(ReadError::Compacted { .. }) if tries < TRIES => {}
                read => return read,
            }
        }
    }

    async fn list(store: &dyn Store) -> Result<Self, ReadError> {
        let mut image = Self::default();
        let mut range = Some(Range::prefix(Key::ALL).paged(PAGE));
        while let Some(asked) = range {
            let page = store.range(asked.clone()).await?;
            range = asked.following(&page);
            image.revision = page.revision;
            page.entries.into_iter().for_each(|entry| image.put(entry));
        }
        image.trail.push(image.revision, image.digest);
        image.access_changed = image.revision;
        Ok(image)
    }

    /// When it was so.
    pub(crate) const fn revision(&self) -> Revision {
        self.revision
    }

    /// When tokens, members or operators last changed, at the latest.
    pub(crate) const fn access_changed(&self) -> Revision {
        self.access_changed
    }

    /// Nothing of it changed until `revision`.
    pub(crate) fn has_reached(&mut self, revision: Revision) {
        self.revision = self.revision.max(revision);
    }

    /// What one commit did.
    pub(crate) fn apply(&mut self, revision: Revision, events: Vec<Event>) {
        for event in events {
            if <[u8]>::starts_with(event.key(), keys::ACCESS.as_bytes()) {
                self.access_changed = revision;
            }
            match event {
                Event::Put(entry) => self.put(entry),
                Event::Delete { key } => self.delete(&key),
            }
        }
        self.has_reached(revision);
        self.trail.push(revision, self.digest);
    }

    fn put(&mut self, entry: Entry) {
        if is_counted(&entry.key) {
            self.digest.add(&entry);
        }
        // Taken out, not replaced: the map would go on with the key it has, which shares its memory with the old value.
        if let Some(old) = self.entries.remove(&entry.key)
            && is_counted(&old.key)
        {
            self.digest.remove(&old);
        }
        self.entries.insert(entry.key.clone(), entry);
    }

    fn delete(&mut self, key: &Key) {
        if let Some(old) = self.entries.remove(key)
            && is_counted(key)
        {
            self.digest.remove(&old);
        }
    }

    /// What it holds, in one number.
    pub(crate) const fn digest(&self) -> StateDigest {
        self.digest
    }

    /// The same after each of the last changes.
    pub(crate) const fn trail(&self) -> &Trail {
        &self.trail
    }

    /// The keys of which this image, as old as `truth` or older, surely holds what never was: what `truth` holds
    /// since then must be here too. Of entries that are only here nothing is sure, unless both are equally old.
    pub(crate) fn faults(&self, truth: &Self) -> Vec<Key> {
        let changed = truth
            .entries
            .values()
            .filter(|entry| entry.modified <= self.revision && self.entries.get(&entry.key) != Some(*entry));
        let is_as_old = self.revision == truth.revision;
        let surplus = self.entries.keys().filter(|key| is_as_old && !truth.entries.contains_key(*key));
        changed.map(|entry| &entry.key).chain(surplus).cloned().collect()
    }

    pub(crate) fn get(&self, key: &Key) -> Option<&Entry> {
        self.entries.get(key)
    }

    pub(crate) fn under(&self, prefix: &str) -> impl Iterator<Item = &Entry> {
        let prefix = Key::from(prefix.to_owned());
        self.entries
            .range(prefix.clone()..)
            .map(|(_, entry)| entry)
            .take_while(move |entry| entry.key.starts_with(&prefix))
    }

    /// All records under `prefix`.
    pub(crate) fn records<T: DeserializeOwned>(&self, prefix: &str) -> Result<Vec<T>, LoadError> {
        self.records_with(prefix, |_| {})
    }

    /// The same, each after `change` has had it.
    pub(crate) fn records_with<T: DeserializeOwned>(
        &self,
        prefix: &str,
        mut change: impl FnMut(&mut T),
    ) -> Result<Vec<T>, LoadError> {
        let records = self.under(prefix).map(|entry| {
            let mut record = parse(entry)?;
            change(&mut record);
            Ok(record)
        });
        records.collect()
    }

    /// The record of that key, if there is one.
    pub(crate) fn record<T: DeserializeOwned>(&self, key: &str) -> Result<Option<T>, LoadError> {
        self.get(&Key::from(key.to_owned())).map(parse).transpose()
    }
}

/// The digests themselves, which servers tell each other, do not count: else each telling would be news to tell.
fn is_counted(key: &Key) -> bool {
    !<[u8]>::starts_with(key, keys::DIGESTS.as_bytes())
}
