//! Everything of one cloud lies under one prefix; the rest of etcd is other people's.

use bytes::{Bytes, BytesMut};

use crate::{Entry, Event, Key};

use super::wire;

/// Puts keys under the cloud's prefix and takes them out again.
#[derive(Debug, Clone)]
pub(super) struct Keyspace {
    prefix: Bytes,
}

impl Keyspace {
    /// Under `/name:`. The colon cannot be in a name, so a cloud at `/a` and one at `/a/b` have no key in common.
    pub(super) fn new(name: &str) -> Self {
        Self { prefix: Bytes::from(format!("/{name}:")) }
    }

    /// The prefix as operators see it, for example to grant rights on it.
    pub(super) fn name(&self) -> String {
        String::from_utf8_lossy(&self.prefix).into_owned()
    }

    /// A key as etcd knows it.
    pub(super) fn outer(&self, key: &[u8]) -> Bytes {
        let mut outer = BytesMut::with_capacity(self.prefix.len() + key.len());
        outer.extend_from_slice(&self.prefix);
        outer.extend_from_slice(key);
        outer.freeze()
    }

    /// The first key after all that begin with `prefix`. There always is one, as the cloud's own prefix does not
    /// consist of 0xff bytes.
    pub(super) fn end(&self, prefix: &[u8]) -> Bytes {
        let mut end = self.outer(prefix).to_vec();
        while end.last() == Some(&0xff) {
            end.pop();
        }
        if let Some(last) = end.last_mut() {
            *last += 1;
        }
        Bytes::from(end)
    }

    /// A key as the cloud knows it; none if it is not the cloud's.
    fn inner(&self, key: &Bytes) -> Option<Key> {
        key.starts_with(&self.prefix).then(|| Key::from(key.slice(self.prefix.len()..)))
    }

    /// An entry as the cloud knows it. It has memory of its own: what came in with it is part of one long message, and
    /// the last record of it that anybody keeps would keep all of it.
    pub(super) fn entry(&self, found: wire::KeyValue) -> Option<Entry> {
        let key = self.inner(&found.key)?;
        let mut own = BytesMut::with_capacity(key.len() + found.value.len());
        own.extend_from_slice(&key);
        own.extend_from_slice(&found.value);
        let mut own = own.freeze();
        Some(Entry {
            key: Key::from(own.split_to(key.len())),
            value: own,
            created: wire::revision(found.create_revision),
            modified: wire::revision(found.mod_revision),
            version: u64::try_from(found.version).unwrap_or(0),
            lease: wire::lease_id(found.lease),
        })
    }

    /// What happened, as the cloud knows it.
    pub(super) fn event(&self, kind: wire::event::EventType, found: wire::KeyValue) -> Option<Event> {
        match kind {
            wire::event::EventType::Put => self.entry(found).map(Event::Put),
            wire::event::EventType::Delete => Some(Event::Delete { key: self.inner(&found.key)? }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_prefix_is_the_first_key_after_it() {
        let keys = Keyspace::new("cloud");
        assert_eq!(keys.end(b"a"), "/cloud:b");
        assert_eq!(keys.end(b""), "/cloud;");
        assert_eq!(keys.end(b"a\xff\xff"), "/cloud:b");
        assert_eq!(keys.end(b"\xff"), "/cloud;");
    }

    #[test]
    fn an_entry_keeps_nothing_of_the_message_it_came_in() {
        let keys = Keyspace::new("cloud");
        let message = Bytes::from([keys.outer(b"k").as_ref(), b"value", &[0; 100]].concat());
        let length = keys.outer(b"k").len();
        let found = wire::KeyValue {
            key: message.slice(..length),
            value: message.slice(length..length + 5),
            ..wire::KeyValue::default()
        };
        let entry = keys.entry(found).unwrap();
        assert_eq!((&*entry.key, entry.value.as_ref()), (b"k".as_slice(), b"value".as_slice()));
        assert!(message.is_unique());
    }

    #[test]
    fn a_cloud_below_another_has_no_key_in_common_with_it() {
        let (above, below) = (Keyspace::new("a"), Keyspace::new("a/b"));
        assert_eq!(above.inner(&below.outer(b"k")), None);
        assert_eq!(below.inner(&above.outer(b"b:k")), None);
        assert_eq!(above.inner(&above.outer(b"k")), Some("k".into()));
    }
}
