//! All records at one revision, on their way from the store into the cores.
//!
//! An image knows the digest of what it holds, now and after each of its last changes, so that servers can find out
//! whether they hold the same (G5). Records of tasks and instances, which are most of it, can be packed.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use kogge_store::{Entry, Event, Key, Range, ReadError, Revision, Store};
use serde::de::DeserializeOwned;

use crate::keys;
use crate::load::{LoadError, parse};
use crate::packed::PackedEntries;
use crate::state_digest::StateDigest;
use crate::trail::Trail;

/// Entries read at once.
const PAGE: usize = 2_000;
/// Times that a list is begun anew because the store had forgotten its revision meanwhile.
const TRIES: usize = 5;

/// What there is much of.
const BULKY: [&str; 2] = [keys::TASKS, keys::INSTANCES];
/// Fewer of these are not worth packing.
const WORTH_PACKING: usize = 1_000;

/// Changes that are remembered for somebody who follows; of more it is quicker to take in everything anew.
const MOST_NEWS: usize = 16_384;

/// What became of keys since somebody last asked: what they hold now, none when they are gone.
pub(crate) type News = BTreeMap<Key, Option<Entry>>;

/// The state as it was at one revision.
#[derive(Clone, Default)]
pub(crate) struct Image {
    entries: BTreeMap<Key, Entry>,
    packed: PackedEntries,
    revision: Revision,
    digest: StateDigest,
    trail: Trail,
    /// When who may come in last changed.
    access_changed: Revision,
    /// What changed since somebody last asked; none if nobody has, or if it is too much.
    news: Option<BTreeSet<Key>>,
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
            if let Some(news) = self.news.as_mut().filter(|_| is_counted(event.key())) {
                news.insert(event.key().clone());
            }
            match event {
                Event::Put(entry) => self.put(entry),
                Event::Delete { key } => self.delete(&key),
            }
        }
        self.news.take_if(|news| news.len() > MOST_NEWS);
        self.has_reached(revision);
        self.trail.push(revision, self.digest);
    }

    /// What changed since the last call; none at the first one, and if it was too much. It is remembered from now on.
    pub(crate) fn take_news(&mut self) -> Option<News> {
        let keys = self.news.replace(BTreeSet::new())?;
        Some(keys.into_iter().map(|key| (key.clone(), self.get(&key).map(Cow::into_owned))).collect())
    }

    fn put(&mut self, entry: Entry) {
        if is_counted(&entry.key) {
            self.digest.add(&entry);
        }
        // Taken out, not replaced: the map would go on with the key it has, which shares its memory with the old value.
        self.delete(&entry.key);
        self.entries.insert(entry.key.clone(), entry);
    }

    fn delete(&mut self, key: &Key) {
        if let Some(old) = self.entries.remove(key).or_else(|| self.packed.remove(key))
            && is_counted(key)
        {
            self.digest.remove(&old);
        }
    }

    /// Packs up to `most` entries, if there are enough to be worth it; tells how many.
    pub(crate) fn pack(&mut self, most: usize) -> usize {
        let loose = BULKY.iter().flat_map(|prefix| self.plain_under(prefix));
        let loose: Vec<Key> = loose.map(|entry| entry.key.clone()).take(most).collect();
        if loose.len() < WORTH_PACKING {
            return 0;
        }
        let entries: Vec<Entry> = loose.iter().filter_map(|key| self.entries.remove(key)).collect();
        let unpacked = self.packed.pack(entries);
        let count = loose.len() - unpacked.len();
        self.entries.extend(unpacked.into_iter().map(|entry| (entry.key.clone(), entry)));
        count
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
        let changed = truth.under("").filter(|entry| {
            entry.modified <= self.revision && self.get(&entry.key).as_deref() != Some(entry.as_ref())
        });
        let is_as_old = self.revision == truth.revision;
        let surplus = self.under("").filter(|entry| is_as_old && truth.get(&entry.key).is_none());
        changed.chain(surplus).map(|entry| entry.key.clone()).collect()
    }

    pub(crate) fn get(&self, key: &Key) -> Option<Cow<'_, Entry>> {
        self.entries.get(key).map(Cow::Borrowed).or_else(|| self.packed.get(key).map(Cow::Owned))
    }

    /// Those whose keys begin with `prefix`, in any order.
    pub(crate) fn under(&self, prefix: &str) -> impl Iterator<Item = Cow<'_, Entry>> {
        let packed = self.packed.under(&Key::from(prefix.to_owned()));
        self.plain_under(prefix).map(Cow::Borrowed).chain(packed.map(Cow::Owned))
    }

    /// How many keys begin with `prefix`.
    pub(crate) fn count(&self, prefix: &str) -> usize {
        self.plain_under(prefix).count() + self.packed.count(&Key::from(prefix.to_owned()))
    }

    #[cfg(test)]
    pub(crate) const fn packed_mut(&mut self) -> &mut PackedEntries {
        &mut self.packed
    }

    fn plain_under(&self, prefix: &str) -> impl Iterator<Item = &Entry> + use<'_> {
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
            let mut record = parse(&entry)?;
            change(&mut record);
            Ok(record)
        });
        records.collect()
    }

    /// The record of that key, if there is one.
    pub(crate) fn record<T: DeserializeOwned>(&self, key: &str) -> Result<Option<T>, LoadError> {
        self.get(&Key::from(key.to_owned())).map(|entry| parse(&entry)).transpose()
    }
}

/// The digests themselves, which servers tell each other, do not count: else each telling would be news to tell.
fn is_counted(key: &Key) -> bool {
    !<[u8]>::starts_with(key, keys::DIGESTS.as_bytes())
}
