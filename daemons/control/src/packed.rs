//! Entries in little memory: compressed one by one, with others of their kind as dictionary.
//!
//! A leader hardly ever reads its copy of the state, and that holds as much as the cores do. What lies still there is
//! packed; a change makes an entry plain again.

use std::collections::BTreeMap;

use bytes::{BufMut, BytesMut};
use kogge_store::{Entry, Key};
use zstd::bulk::{Compressor, Decompressor};

/// The fastest that is worth it: records of one kind are much alike.
const LEVEL: i32 = 1;
/// Bytes of entries that the others are compressed against.
const DICTIONARY_BYTES: usize = 32 << 10;

/// A part of a copy.
#[derive(Default)]
pub(crate) struct PackedEntries {
    entries: BTreeMap<Key, PackedEntry>,
    tools: Option<Tools>,
}

/// Packs and unpacks; made of the first entries there are.
struct Tools {
    dictionary: Vec<u8>,
    compressor: Compressor<'static>,
    decompressor: Decompressor<'static>,
}

/// An entry whose value is packed.
#[derive(Clone)]
struct PackedEntry {
    entry: Entry,
    /// Bytes of the value itself.
    length: usize,
}

impl Clone for PackedEntries {
    fn clone(&self) -> Self {
        let tools = self.tools.as_ref().and_then(|tools| Tools::new(tools.dictionary.clone()).ok());
        Self { entries: self.entries.clone(), tools }
    }
}

impl PackedEntries {
    /// Takes in those of `entries` that can be packed, and gives the others back.
    pub(crate) fn pack(&mut self, entries: Vec<Entry>) -> Vec<Entry> {
        let Some(tools) = tools(&mut self.tools, &entries) else { return entries };
        let mut unpacked = Vec::new();
        for entry in entries {
            match tools.pack(&entry) {
                Some(packed) => drop(self.entries.insert(packed.entry.key.clone(), packed)),
                None => unpacked.push(entry),
            }
        }
        unpacked
    }

    pub(crate) fn remove(&mut self, key: &Key) -> Option<Entry> {
        let packed = self.entries.remove(key)?;
        Some(packed.unpack(self.tools.as_mut().map(|tools| &mut tools.decompressor)))
    }

    pub(crate) fn get(&self, key: &Key) -> Option<Entry> {
        let packed = self.entries.get(key)?;
        Some(packed.unpack(self.tools.as_ref().and_then(Tools::reader).as_mut()))
    }

    /// How many keys begin with `prefix`.
    pub(crate) fn count(&self, prefix: &Key) -> usize {
        self.entries.range(prefix.clone()..).take_while(|(key, _)| key.starts_with(prefix)).count()
    }

    /// Those whose keys begin with `prefix`.
    pub(crate) fn under<'a>(&'a self, prefix: &Key) -> impl Iterator<Item = Entry> + use<'a> {
        let mut reader = self.tools.as_ref().and_then(Tools::reader);
        let prefix = prefix.clone();
        let found = self.entries.range(prefix.clone()..).map(|(_, packed)| packed);
        let found = found.take_while(move |packed| packed.entry.key.starts_with(&prefix));
        found.map(move |packed| packed.unpack(reader.as_mut()))
    }
}

fn tools<'a>(tools: &'a mut Option<Tools>, samples: &[Entry]) -> Option<&'a mut Tools> {
    if tools.is_none() {
        // From all over, so that each kind is among them.
        let bytes: usize = samples.iter().map(|entry| entry.value.len()).sum();
        let step = (bytes / DICTIONARY_BYTES).max(1);
        let dictionary: Vec<u8> =
            samples.iter().step_by(step).flat_map(|entry| entry.value.iter().copied()).collect();
        *tools =
            Tools::new(dictionary).inspect_err(|error| tracing::warn!(%error, "nothing can be packed")).ok();
    }
    tools.as_mut()
}

impl Tools {
    fn new(dictionary: Vec<u8>) -> std::io::Result<Self> {
        let compressor = Compressor::with_dictionary(LEVEL, &dictionary)?;
        let decompressor = Decompressor::with_dictionary(&dictionary)?;
        Ok(Self { dictionary, compressor, decompressor })
    }

    /// For whoever reads beside others.
    fn reader(&self) -> Option<Decompressor<'static>> {
        Decompressor::with_dictionary(&self.dictionary).ok()
    }

    fn pack(&mut self, entry: &Entry) -> Option<PackedEntry> {
        let value = self.compressor.compress(&entry.value).ok()?;
        // Key and value in one piece of their own.
        let mut bytes = BytesMut::with_capacity(entry.key.len() + value.len());
        bytes.put_slice(&entry.key);
        bytes.put_slice(&value);
        let mut value = bytes.freeze();
        let key = Key::from(value.split_to(entry.key.len()));
        Some(PackedEntry { length: entry.value.len(), entry: Entry { key, value, ..entry.clone() } })
    }
}

impl PackedEntry {
    /// As it was. What cannot be unpacked is never left out, for absence means something (G4): its value is empty, and
    /// the digest, and whoever reads the record, tells.
    fn unpack(&self, reader: Option<&mut Decompressor<'static>>) -> Entry {
        let value = reader.and_then(|reader| reader.decompress(&self.entry.value, self.length).ok());
        let value = value.unwrap_or_default();
        Entry { value: value.into(), ..self.entry.clone() }
    }
}

#[cfg(test)]
mod tests {
    use kogge_store::{Event, Revision};

    use crate::image::Image;
    use crate::keys;

    use super::*;

    fn entry(prefix: &str, number: u64, modified: u64) -> Entry {
        Entry {
            key: format!("{prefix}{number:05}").into(),
            value: format!(r#"{{"number":{number},"state":"running","since":{modified}}}"#).into(),
            created: Revision::new(1),
            modified: Revision::new(modified),
            version: modified,
            lease: None,
        }
    }

    /// Two of them, in the same state; the first is packed.
    fn twins() -> [Image; 2] {
        let mut twins = [Image::default(), Image::default()];
        for image in &mut twins {
            let prefixes = [keys::TASKS, keys::INSTANCES, keys::SERVICES];
            let entries =
                prefixes.iter().flat_map(|prefix| (0..1_500).map(|number| entry(prefix, number, 1)));
            image.apply(Revision::new(1), entries.map(Event::Put).collect());
        }
        let packed = [1_700, 1_700, 1_700].map(|most| twins[0].pack(most));
        assert_eq!(packed, [1_700, 1_300, 0], "services are not packed");
        twins
    }

    fn all(image: &Image) -> BTreeMap<Key, Entry> {
        image.under("").map(|entry| (entry.key.clone(), entry.into_owned())).collect()
    }

    #[test]
    fn what_is_packed_is_still_there() {
        let [packed, plain] = twins();
        assert_eq!(all(&packed), all(&plain));
        let tasks = |image: &Image| image.under(keys::TASKS).count();
        assert_eq!(tasks(&packed), tasks(&plain));
        let key = entry(keys::INSTANCES, 7, 1).key;
        assert_eq!(packed.get(&key).as_deref(), Some(&entry(keys::INSTANCES, 7, 1)));
        assert!(packed.get(&"missing".into()).is_none());
        assert!(packed.faults(&plain).is_empty() && plain.faults(&packed).is_empty());
    }

    #[test]
    fn g5_changes_of_what_is_packed_are_changes_of_the_digest() {
        let mut twins = twins();
        for image in &mut twins {
            let put = (0..1_200).map(|number| Event::Put(entry(keys::TASKS, number, 2)));
            let delete = (0..300).map(|number| Event::Delete { key: entry(keys::INSTANCES, number, 1).key });
            image.apply(Revision::new(2), put.chain(delete).collect());
        }
        assert_eq!(twins[0].digest(), twins[1].digest());
        assert_eq!(all(&twins[0]), all(&twins[1]));
        assert_eq!(twins[0].pack(2_000), 1_200, "what has changed is packed again");
        assert_eq!(twins[0].pack(2_000), 0);
        assert_eq!(all(&twins[0]), all(&twins[1]));
    }

    #[test]
    fn what_is_packed_takes_little_room() {
        let entries: Vec<Entry> = (0..1_000).map(|number| entry(keys::TASKS, number, 1)).collect();
        let size =
            |entries: &mut dyn Iterator<Item = &Entry>| entries.map(|entry| entry.value.len()).sum::<usize>();
        let before = size(&mut entries.iter());
        let mut packed = PackedEntries::default();
        assert!(packed.pack(entries).is_empty());
        assert!(size(&mut packed.entries.values().map(|packed| &packed.entry)) * 2 < before);
    }

    #[test]
    fn g5_damage_to_what_is_packed_shows() {
        let [mut packed, plain] = twins();
        let key = entry(keys::TASKS, 7, 1).key;
        packed.damage_packed(&key);
        assert_ne!(packed.get(&key), plain.get(&key));
        assert_eq!(
            packed.under(keys::TASKS).count(),
            plain.under(keys::TASKS).count(),
            "nothing is left out"
        );
        assert!(packed.records::<serde_json::Value>(keys::TASKS).is_err());
        assert_eq!(packed.faults(&plain), std::slice::from_ref(&key));
        let change = || vec![Event::Put(entry(keys::TASKS, 7, 2))];
        let mut plain = plain;
        packed.apply(Revision::new(2), change());
        plain.apply(Revision::new(2), change());
        assert_ne!(packed.digest(), plain.digest(), "the sum stays wrong");
    }

    impl Image {
        fn damage_packed(&mut self, key: &Key) {
            let packed = self.packed_mut().entries.get_mut(key).unwrap();
            packed.entry.value = packed.entry.value.slice(..packed.entry.value.len() - 1);
        }
    }
}
