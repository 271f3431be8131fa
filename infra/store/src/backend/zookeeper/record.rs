//! How records, snapshots and the head lie in nodes. All numbers little-endian.
//!
//! ```text
//! record    format:1 attempt:16 change*
//! change    0:1 count:2 op*                    a batch; it has the next revision
//!           1:1 lease:8 ttl_ms:8               a lease with a time
//!           2:1 lease:8 len:2 node             a lease that lives as long as a node
//!           3:1 lease:8                        the end of a lease; a batch if it owns keys
//!           4:1 before:8                       history below is dropped
//! op        0:1 len:2 key                      a delete, of a key that exists
//!           1:1 len:2 key lease:8 len:4 value  a put
//! part      item*
//! item      1, 2 as in a change; 5:1 len:2 key created:8 modified:8 version:8 lease:8 len:4 value
//! head      format:1 index:8 revision:8 leases:8 first:8 logged:8 snapshot:1 [name:16 index:8 revision:8
//!           logged:8 parts:4 bytes:8]
//! ```

use bytes::Bytes;

use crate::{Entry, Key, LeaseId, Op, Revision};

use super::head::{Head, SnapshotAt};

const FORMAT: u8 = 1;
/// Format and attempt.
const HEADER: usize = 17;

const BATCH: u8 = 0;
const GRANT: u8 = 1;
const GRANT_NODE: u8 = 2;
const END: u8 = 3;
const COMPACT: u8 = 4;
const ENTRY: u8 = 5;

/// What keeps a lease alive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Holder {
    /// Signs of life, at most this far apart.
    Ttl { ttl_ms: u64 },
    /// An ephemeral node: the session that made it.
    Node { path: String },
}

/// One step from one state of the store to the next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Change {
    Batch(Vec<Op>),
    Grant(LeaseId, Holder),
    End(LeaseId),
    Compact { before: Revision },
}

/// A log record: all that one transaction did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Record {
    /// Names the attempt, so that its author finds it after a lost answer.
    pub(super) attempt: u128,
    pub(super) changes: Vec<Change>,
}

/// A piece of a snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Item {
    Lease(LeaseId, Holder),
    Entry(Entry),
}

/// Bytes that no program of this version wrote.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Malformed {
    /// By a newer one.
    Newer { format: u8 },
    /// By none.
    Damaged,
}

impl std::fmt::Display for Malformed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Newer { format } => write!(f, "it has format {format}, this program reads {FORMAT}"),
            Self::Damaged => f.write_str("it is malformed"),
        }
    }
}

/// The length of a record.
pub(super) fn record_len(changes: &[Change]) -> u64 {
    let len = HEADER + changes.iter().map(change_len).sum::<usize>();
    u64::try_from(len).expect("lengths fit")
}

/// The length of a change in a record.
fn change_len(change: &Change) -> usize {
    match change {
        Change::Batch(ops) => 3 + ops.iter().map(op_len).sum::<usize>(),
        Change::Grant(_, Holder::Ttl { .. }) => 17,
        Change::Grant(_, Holder::Node { path }) => 11 + path.len(),
        Change::End(_) | Change::Compact { .. } => 9,
    }
}

/// The length of an operation in a batch.
fn op_len(op: &Op) -> usize {
    match op {
        Op::Delete { key } => 3 + key.len(),
        Op::Put { key, value, .. } => 15 + key.len() + value.len(),
    }
}

impl Record {
    pub(super) fn write(&self) -> Bytes {
        let mut out = Out::with_capacity(HEADER + self.changes.iter().map(change_len).sum::<usize>());
        out.byte(FORMAT);
        out.0.extend_from_slice(&self.attempt.to_le_bytes());
        for change in &self.changes {
            out.change(change);
        }
        Bytes::from(out.0)
    }

    pub(super) fn read(bytes: Bytes) -> Result<Self, Malformed> {
        let mut from = In::versioned(bytes)?;
        let attempt = u128::from_le_bytes(from.array()?);
        let mut changes = Vec::new();
        while !from.0.is_empty() {
            changes.push(from.change()?);
        }
        Ok(Self { attempt, changes })
    }
}

/// Appends an item to a part.
pub(super) fn write_item(part: &mut Vec<u8>, item: &Item) {
    let mut out = Out(std::mem::take(part));
    match item {
        Item::Lease(lease, holder) => out.grant(*lease, holder),
        Item::Entry(entry) => {
            out.byte(ENTRY);
            out.key(&entry.key);
            let numbers = [entry.created.get(), entry.modified.get(), entry.version, number_of(entry.lease)];
            numbers.into_iter().for_each(|number| out.number(number));
            out.value(&entry.value);
        }
    }
    *part = out.0;
}

/// All items of a part.
pub(super) fn read_part(bytes: Bytes) -> Result<Vec<Item>, Malformed> {
    let (mut from, mut items) = (In(bytes), Vec::new());
    while !from.0.is_empty() {
        items.push(from.item()?);
    }
    Ok(items)
}

impl Head {
    pub(super) fn write(&self) -> Bytes {
        let mut out = Out::with_capacity(96);
        out.byte(FORMAT);
        let numbers = [self.index, self.revision.get(), self.leases, self.first, self.logged];
        numbers.into_iter().for_each(|number| out.number(number));
        match &self.snapshot {
            None => out.byte(0),
            Some(at) => {
                out.byte(1);
                out.0.extend_from_slice(&at.name.to_le_bytes());
                [at.index, at.revision.get(), at.logged].into_iter().for_each(|number| out.number(number));
                out.0.extend_from_slice(&at.parts.to_le_bytes());
                out.number(at.bytes);
            }
        }
        Bytes::from(out.0)
    }

    pub(super) fn read(bytes: Bytes) -> Result<Self, Malformed> {
        let mut from = In::versioned(bytes)?;
        let (index, revision) = (from.number()?, from.revision()?);
        let (leases, first, logged) = (from.number()?, from.number()?, from.number()?);
        let snapshot = match from.array()? {
            [0] => None,
            [1] => Some(SnapshotAt {
                name: u128::from_le_bytes(from.array()?),
                index: from.number()?,
                revision: from.revision()?,
                logged: from.number()?,
                parts: u32::from_le_bytes(from.array()?),
                bytes: from.number()?,
            }),
            _ => return Err(Malformed::Damaged),
        };
        Ok(Self { index, revision, leases, first, logged, snapshot })
    }
}

fn number_of(lease: Option<LeaseId>) -> u64 {
    lease.map_or(0, LeaseId::get)
}

struct Out(Vec<u8>);

impl Out {
    fn with_capacity(bytes: usize) -> Self {
        Self(Vec::with_capacity(bytes))
    }

    fn byte(&mut self, byte: u8) {
        self.0.push(byte);
    }

    fn number(&mut self, number: u64) {
        self.0.extend_from_slice(&number.to_le_bytes());
    }

    fn short(&mut self, bytes: &[u8]) {
        let len = u16::try_from(bytes.len()).expect("keys and paths are below 64 KiB");
        self.0.extend_from_slice(&len.to_le_bytes());
        self.0.extend_from_slice(bytes);
    }

    fn key(&mut self, key: &Key) {
        self.short(key);
    }

    fn value(&mut self, value: &[u8]) {
        let len = u32::try_from(value.len()).expect("values are at most 512 KiB");
        self.0.extend_from_slice(&len.to_le_bytes());
        self.0.extend_from_slice(value);
    }

    fn grant(&mut self, lease: LeaseId, holder: &Holder) {
        match holder {
            Holder::Ttl { ttl_ms } => {
                self.byte(GRANT);
                self.number(lease.get());
                self.number(*ttl_ms);
            }
            Holder::Node { path } => {
                self.byte(GRANT_NODE);
                self.number(lease.get());
                self.short(path.as_bytes());
            }
        }
    }

    fn change(&mut self, change: &Change) {
        match change {
            Change::Grant(lease, holder) => self.grant(*lease, holder),
            Change::End(lease) => {
                self.byte(END);
                self.number(lease.get());
            }
            Change::Compact { before } => {
                self.byte(COMPACT);
                self.number(before.get());
            }
            Change::Batch(ops) => {
                self.byte(BATCH);
                let count = u16::try_from(ops.len()).expect("a batch has at most 128 operations");
                self.0.extend_from_slice(&count.to_le_bytes());
                ops.iter().for_each(|op| self.op(op));
            }
        }
    }

    fn op(&mut self, op: &Op) {
        match op {
            Op::Delete { key } => {
                self.byte(0);
                self.key(key);
            }
            Op::Put { key, value, lease } => {
                self.byte(1);
                self.key(key);
                self.number(number_of(*lease));
                self.value(value);
            }
        }
    }
}

struct In(Bytes);

impl In {
    fn versioned(bytes: Bytes) -> Result<Self, Malformed> {
        let mut from = Self(bytes);
        match from.array()? {
            [FORMAT] => Ok(from),
            [format] if format > FORMAT => Err(Malformed::Newer { format }),
            _ => Err(Malformed::Damaged),
        }
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let array = *self.0.first_chunk::<N>().ok_or(Malformed::Damaged)?;
        let _ = self.0.split_to(N);
        Ok(array)
    }

    fn number(&mut self) -> Result<u64, Malformed> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    fn revision(&mut self) -> Result<Revision, Malformed> {
        Ok(Revision::new(self.number()?))
    }

    fn take(&mut self, len: usize) -> Result<Bytes, Malformed> {
        match len <= self.0.len() {
            true => Ok(self.0.split_to(len)),
            false => Err(Malformed::Damaged),
        }
    }

    fn short(&mut self) -> Result<Bytes, Malformed> {
        let len = u16::from_le_bytes(self.array()?);
        self.take(usize::from(len))
    }

    // Keys and values are copied: a small one that lives on would otherwise keep its whole record in memory.
    fn key(&mut self) -> Result<Key, Malformed> {
        Ok(Key::from(&self.short()?[..]))
    }

    fn value(&mut self) -> Result<Bytes, Malformed> {
        let len = u32::from_le_bytes(self.array()?);
        let value = self.take(usize::try_from(len).map_err(|_| Malformed::Damaged)?)?;
        Ok(Bytes::copy_from_slice(&value))
    }

    fn lease(&mut self) -> Result<LeaseId, Malformed> {
        Ok(LeaseId::new(self.number()?))
    }

    fn owner(&mut self) -> Result<Option<LeaseId>, Malformed> {
        let number = self.number()?;
        Ok((number != 0).then(|| LeaseId::new(number)))
    }

    fn node(&mut self) -> Result<Holder, Malformed> {
        let path = String::from_utf8(self.short()?.to_vec()).map_err(|_| Malformed::Damaged)?;
        Ok(Holder::Node { path })
    }

    fn change(&mut self) -> Result<Change, Malformed> {
        match self.array()? {
            [BATCH] => {
                let count = u16::from_le_bytes(self.array()?);
                (0..count).map(|_| self.op()).collect::<Result<_, _>>().map(Change::Batch)
            }
            [GRANT] => Ok(Change::Grant(self.lease()?, Holder::Ttl { ttl_ms: self.number()? })),
            [GRANT_NODE] => Ok(Change::Grant(self.lease()?, self.node()?)),
            [END] => Ok(Change::End(self.lease()?)),
            [COMPACT] => Ok(Change::Compact { before: self.revision()? }),
            _ => Err(Malformed::Damaged),
        }
    }

    fn op(&mut self) -> Result<Op, Malformed> {
        match self.array()? {
            [0] => Ok(Op::Delete { key: self.key()? }),
            [1] => {
                let (key, lease) = (self.key()?, self.owner()?);
                Ok(Op::Put { key, value: self.value()?, lease })
            }
            _ => Err(Malformed::Damaged),
        }
    }

    fn item(&mut self) -> Result<Item, Malformed> {
        match self.array()? {
            [GRANT] => Ok(Item::Lease(self.lease()?, Holder::Ttl { ttl_ms: self.number()? })),
            [GRANT_NODE] => Ok(Item::Lease(self.lease()?, self.node()?)),
            [ENTRY] => {
                let key = self.key()?;
                let (created, modified, version) = (self.revision()?, self.revision()?, self.number()?);
                let lease = self.owner()?;
                Ok(Item::Entry(Entry { key, value: self.value()?, created, modified, version, lease }))
            }
            _ => Err(Malformed::Damaged),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record() -> Record {
        let put = Op::Put { key: "a".into(), value: "value".into(), lease: Some(LeaseId::new(9)) };
        let delete = Op::Delete { key: Key::from(&[0xff, 0][..]) };
        let node = Holder::Node { path: "/r/c-1".into() };
        Record {
            attempt: 77,
            changes: vec![
                Change::Batch(vec![put, delete]),
                Change::Grant(LeaseId::new(1), Holder::Ttl { ttl_ms: 5 }),
                Change::Grant(LeaseId::new(2), node),
                Change::End(LeaseId::new(1)),
                Change::Compact { before: Revision::new(3) },
            ],
        }
    }

    #[test]
    fn a_record_reads_back_as_it_was_written_and_its_length_is_known_before() {
        let bytes = record().write();
        assert_eq!(u64::try_from(bytes.len()).unwrap(), record_len(&record().changes));
        assert_eq!(Record::read(bytes), Ok(record()));
    }

    #[test]
    fn every_truncation_of_a_record_is_noticed_or_ends_between_changes() {
        let bytes = record().write();
        let whole: Vec<usize> =
            (0..=5).map(|n| HEADER + record().changes[..n].iter().map(change_len).sum::<usize>()).collect();
        for len in 0..bytes.len() {
            let read = Record::read(bytes.slice(..len));
            assert_eq!(read.is_ok(), whole.contains(&len), "cut at {len}");
        }
    }

    #[test]
    fn a_record_of_a_newer_program_is_named_so() {
        let bytes = Bytes::from([&[2][..], &record().write()[1..]].concat());
        assert_eq!(Record::read(bytes), Err(Malformed::Newer { format: 2 }));
    }

    #[test]
    fn the_head_reads_back_as_it_was_written() {
        let name = u128::MAX / 3;
        let revision = Revision::new(5);
        let at = SnapshotAt { name, index: 1, revision, logged: 4, parts: 2, bytes: 3 };
        for snapshot in [None, Some(at)] {
            let head = Head { index: 7, revision, leases: 8, first: 1, logged: 9, snapshot };
            assert_eq!(Head::read(head.write()), Ok(head));
        }
    }

    #[test]
    fn a_part_reads_back_as_it_was_written() {
        let (created, modified) = (Revision::new(1), Revision::new(2));
        let (key, value) = (Key::from("k"), Bytes::from_static(b"v"));
        let entry = Entry { key, value, created, modified, version: 2, lease: None };
        let items = [Item::Lease(LeaseId::new(4), Holder::Ttl { ttl_ms: 1 }), Item::Entry(entry)];
        let mut part = Vec::new();
        items.iter().for_each(|item| write_item(&mut part, item));
        assert_eq!(read_part(Bytes::from(part.clone())), Ok(items.to_vec()));
        assert_eq!(read_part(Bytes::from(part).slice(..20)), Err(Malformed::Damaged));
    }
}
