//! All records at one revision, on their way from the store into the cores.

use std::collections::BTreeMap;

use kogge_store::{Entry, Event, Key, Range, ReadError, Revision, Store};
use serde::de::DeserializeOwned;

use crate::load::{LoadError, parse};

/// Entries read at once.
const PAGE: usize = 2_000;
/// Times that a list is begun anew because the store had forgotten its revision meanwhile.
const TRIES: usize = 5;

/// The state as it was at one revision.
#[derive(Debug, Clone, Default)]
pub(crate) struct Image {
    entries: BTreeMap<Key, Entry>,
    revision: Revision,
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
            image.entries.extend(page.entries.into_iter().map(|entry| (entry.key.clone(), entry)));
        }
        Ok(image)
    }

    /// When it was so.
    pub(crate) const fn revision(&self) -> Revision {
        self.revision
    }

    /// Nothing of it changed until `revision`.
    pub(crate) fn has_reached(&mut self, revision: Revision) {
        self.revision = self.revision.max(revision);
    }

    /// What one commit did.
    pub(crate) fn apply(&mut self, revision: Revision, events: Vec<Event>) {
        for event in events {
            match event {
                Event::Put(entry) => drop(self.entries.insert(entry.key.clone(), entry)),
                Event::Delete { key } => drop(self.entries.remove(&key)),
            }
        }
        self.has_reached(revision);
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
        self.under(prefix).map(parse).collect()
    }

    /// The record of that key, if there is one.
    pub(crate) fn record<T: DeserializeOwned>(&self, key: &str) -> Result<Option<T>, LoadError> {
        self.get(&Key::from(key.to_owned())).map(parse).transpose()
    }
}
