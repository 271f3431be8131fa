//! How entries and batches lie in the data file. All numbers little-endian.
//!
//! ```text
//! entry   created:8 modified:8 version:8 lease:8 value
//! batch   event*        event   0:1 key_len:2 key
//!                               1:1 key_len:2 key created:8 version:8 lease:8 value_len:4 value
//! ```

use bytes::Bytes;

use crate::{Batch, Entry, Event, Key, LeaseId, Revision};

const NUMBERS: usize = 32;
const DELETE: u8 = 0;
const PUT: u8 = 1;

/// The numbers of an entry, without its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Numbers {
    pub(super) created: Revision,
    pub(super) modified: Revision,
    pub(super) version: u64,
    pub(super) lease: Option<LeaseId>,
}

/// Bytes that no program of ours wrote.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Malformed;

/// The length of an entry's record.
pub(super) fn entry_len(value: &[u8]) -> usize {
    NUMBERS + value.len()
}

/// Fills `to`, which has [`entry_len`] bytes.
pub(super) fn write_entry(to: &mut [u8], numbers: &Numbers, value: &[u8]) {
    let mut out = Out(to);
    out.number(numbers.created.get());
    out.number(numbers.modified.get());
    out.number(numbers.version);
    out.number(lease_number(numbers.lease));
    out.bytes(value);
    assert!(out.0.is_empty(), "a record fills its place");
}

/// The numbers and the value of a record.
pub(super) fn read_numbers(record: &[u8]) -> Result<(Numbers, &[u8]), Malformed> {
    let mut from = In(record);
    let numbers = Numbers {
        created: Revision::new(from.number()?),
        modified: Revision::new(from.number()?),
        version: from.number()?,
        lease: lease_of(from.number()?),
    };
    Ok((numbers, from.0))
}

/// The whole entry of a record.
pub(super) fn read_entry(key: &[u8], record: &[u8]) -> Result<Entry, Malformed> {
    let (numbers, value) = read_numbers(record)?;
    let Numbers { created, modified, version, lease } = numbers;
    Ok(Entry { key: Key::from(key), value: Bytes::copy_from_slice(value), created, modified, version, lease })
}

/// What a batch's record has beside keys and values, at most, for each event.
pub(super) const EVENT_BYTES: usize = 31;

/// The length of a batch's record.
pub(super) fn batch_len(events: &[Event]) -> usize {
    let event_len = |event: &Event| match event {
        Event::Put(entry) => 3 + entry.key.len() + 28 + entry.value.len(),
        Event::Delete { key } => 3 + key.len(),
    };
    events.iter().map(event_len).sum()
}

/// Fills `to`, which has [`batch_len`] bytes.
pub(super) fn write_batch(to: &mut [u8], events: &[Event]) {
    let mut out = Out(to);
    for event in events {
        match event {
            Event::Delete { key } => {
                out.bytes(&[DELETE]);
                out.key(key);
            }
            Event::Put(entry) => {
                out.bytes(&[PUT]);
                out.key(&entry.key);
                out.number(entry.created.get());
                out.number(entry.version);
                out.number(lease_number(entry.lease));
                let len = u32::try_from(entry.value.len()).expect("values are at most 512 KiB");
                out.bytes(&len.to_le_bytes());
                out.bytes(&entry.value);
            }
        }
    }
    assert!(out.0.is_empty(), "a record fills its place");
}

/// The batch of a record.
pub(super) fn read_batch(revision: Revision, record: &[u8]) -> Result<Batch, Malformed> {
    let mut from = In(record);
    let mut events = Vec::new();
    while !from.0.is_empty() {
        events.push(read_event(&mut from, revision)?);
    }
    Ok(Batch { revision, events })
}

fn read_event(from: &mut In<'_>, modified: Revision) -> Result<Event, Malformed> {
    let tag = from.array::<1>()?;
    let key_len = u16::from_le_bytes(from.array()?);
    let key = Key::from(from.bytes(usize::from(key_len))?);
    match tag {
        [DELETE] => Ok(Event::Delete { key }),
        [PUT] => {
            let (created, version) = (Revision::new(from.number()?), from.number()?);
            let lease = lease_of(from.number()?);
            let len = usize::try_from(u32::from_le_bytes(from.array()?)).map_err(|_| Malformed)?;
            let value = Bytes::copy_from_slice(from.bytes(len)?);
            Ok(Event::Put(Entry { key, value, created, modified, version, lease }))
        }
        _ => Err(Malformed),
    }
}

fn lease_number(lease: Option<LeaseId>) -> u64 {
    lease.map_or(0, LeaseId::get)
}

fn lease_of(number: u64) -> Option<LeaseId> {
    (number != 0).then(|| LeaseId::new(number))
}

struct Out<'a>(&'a mut [u8]);

impl Out<'_> {
    fn bytes(&mut self, bytes: &[u8]) {
        let (head, rest) = std::mem::take(&mut self.0).split_at_mut(bytes.len());
        head.copy_from_slice(bytes);
        self.0 = rest;
    }

    fn number(&mut self, number: u64) {
        self.bytes(&number.to_le_bytes());
    }

    fn key(&mut self, key: &Key) {
        let len = u16::try_from(key.len()).expect("keys are at most 1 KiB");
        self.bytes(&len.to_le_bytes());
        self.bytes(key);
    }
}

/// Bytes still to be read, from the front.
pub(super) struct In<'a>(pub(super) &'a [u8]);

impl<'a> In<'a> {
    pub(super) fn bytes(&mut self, len: usize) -> Result<&'a [u8], Malformed> {
        let (head, rest) = self.0.split_at_checked(len).ok_or(Malformed)?;
        self.0 = rest;
        Ok(head)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let (head, rest) = self.0.split_first_chunk::<N>().ok_or(Malformed)?;
        self.0 = rest;
        Ok(*head)
    }

    pub(super) fn number(&mut self) -> Result<u64, Malformed> {
        Ok(u64::from_le_bytes(self.array()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch() -> Batch {
        let put = Entry {
            key: "a".into(),
            value: Bytes::from_static(b"value"),
            created: Revision::new(3),
            modified: Revision::new(9),
            version: 4,
            lease: Some(LeaseId::new(77)),
        };
        let empty = Entry { key: "b".into(), value: Bytes::new(), lease: None, ..put.clone() };
        let delete = Event::Delete { key: Key::from(&[0xff, 0][..]) };
        Batch { revision: Revision::new(9), events: vec![Event::Put(put), delete, Event::Put(empty)] }
    }

    #[test]
    fn a_batch_reads_back_as_it_was_written() {
        let batch = batch();
        let mut record = vec![0; batch_len(&batch.events)];
        write_batch(&mut record, &batch.events);
        assert_eq!(read_batch(batch.revision, &record), Ok(batch));
    }

    #[test]
    fn every_truncation_of_a_batch_is_noticed_or_ends_between_events() {
        let batch = batch();
        let mut record = vec![0; batch_len(&batch.events)];
        write_batch(&mut record, &batch.events);
        let whole: Vec<usize> = (0..=3).map(|n| batch_len(&batch.events[..n])).collect();
        for len in 0..record.len() {
            let read = read_batch(batch.revision, &record[..len]);
            assert_eq!(read.is_ok(), whole.contains(&len), "cut at {len}");
        }
    }

    #[test]
    fn an_entry_reads_back_as_it_was_written() {
        let Event::Put(entry) = batch().events[0].clone() else { panic!("the first event is a put") };
        let Entry { created, modified, version, lease, .. } = entry.clone();
        let mut record = vec![0; entry_len(&entry.value)];
        write_entry(&mut record, &Numbers { created, modified, version, lease }, &entry.value);
        assert_eq!(read_entry(&entry.key, &record), Ok(entry));
        assert_eq!(read_numbers(&record[..31]), Err(Malformed));
    }
}
