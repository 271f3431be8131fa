//! How a record lies in the log. All numbers little-endian, padded with zeros to whole blocks.
//!
//! ```text
//! record  "KGL1" crc32c:4 len:4 at:8 epoch:8 number:8 head:8 payload      the checksum covers all that follows it
//! ```
//!
//! A record is written only when the one before it is durable, so only the last one can be torn: it was never
//! acknowledged and is dropped. A bad record with a good one after it was acknowledged once, and is damage. What an
//! earlier time left behind has a smaller number, or another place (`at`), and is passed over.

use std::fmt;

use crate::Revision;

use super::file::BLOCK;

const MAGIC: &[u8; 4] = b"KGL1";
const HEAD: usize = 44;
/// Magic and checksum, which the checksum does not cover.
const UNCOVERED: usize = 8;

/// A group that is durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) struct Record<'a> {
    /// Of the opening of the store that wrote it.
    pub(in super::super) epoch: u64,
    /// One more than that of the record before.
    pub(in super::super) number: u64,
    /// The revision it leads to.
    pub(in super::super) head: Revision,
    /// What was done ([`super::payload`]).
    pub(in super::super) payload: &'a [u8],
}

/// A log that lacks something that was acknowledged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) enum Damage {
    /// The record is bad, one after it is good.
    Bad { number: u64, good: u64 },
    /// The first record is not the one that the data file needs next.
    Gap { needed: u64, found: u64 },
    /// The store was opened since the data file was written.
    Later { epoch: u64, found: u64 },
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bad { number, good } => write!(f, "record {number} is bad though record {good} is good"),
            Self::Gap { needed, found } => {
                write!(f, "it begins with record {found}, the data file needs record {needed} first")
            }
            Self::Later { epoch, found } => {
                write!(f, "it was written in opening {found} of the store, the data file in opening {epoch}")
            }
        }
    }
}

/// The bytes that a record with so much to say takes.
pub(super) fn blocks(payload_bytes: usize) -> u64 {
    u64::try_from(HEAD + payload_bytes).expect("lengths fit").next_multiple_of(BLOCK)
}

/// Fills `to`, which has [`blocks`] bytes.
pub(super) fn write(to: &mut [u8], at: u64, record: &Record<'_>) {
    let len = u32::try_from(record.payload.len()).expect("a group fits into the log");
    let numbers = [at, record.epoch, record.number, record.head.get()].map(u64::to_le_bytes);
    let (head, rest) = to.split_at_mut(HEAD);
    let (payload, padding) = rest.split_at_mut(record.payload.len());
    head[..4].copy_from_slice(MAGIC);
    head[8..12].copy_from_slice(&len.to_le_bytes());
    head[12..].copy_from_slice(numbers.as_flattened());
    payload.copy_from_slice(record.payload);
    padding.fill(0);
    let checksum = crc32c::crc32c(&to[UNCOVERED..HEAD + record.payload.len()]);
    to[4..UNCOVERED].copy_from_slice(&checksum.to_le_bytes());
}

/// The whole record at `at`, if there is one.
fn read(log: &[u8], at: usize) -> Option<Record<'_>> {
    let from = log.get(at..)?;
    let (head, rest) = from.split_at_checked(HEAD)?;
    let len = usize::try_from(u32::from_le_bytes(head[8..12].try_into().ok()?)).ok()?;
    let payload = rest.get(..len)?;
    let number = |index: usize| {
        let bytes = head[12 + index * 8..].first_chunk().expect("the head has four numbers");
        u64::from_le_bytes(*bytes)
    };
    let checksum = crc32c::crc32c(&from[UNCOVERED..HEAD + len]).to_le_bytes();
    if head[..4] != *MAGIC || head[4..UNCOVERED] != checksum || number(0) != u64::try_from(at).ok()? {
        return None;
    }
    Some(Record { epoch: number(1), number: number(2), head: Revision::new(number(3)), payload })
}

/// What a data file of opening `epoch` lacks that contains the records up to `logged`, in order.
pub(in super::super) fn whole_records(
    log: &[u8],
    epoch: u64,
    logged: u64,
) -> Result<Vec<Record<'_>>, Damage> {
    let mut records: Vec<Record<'_>> = Vec::new();
    let (mut at, mut last) = (0, None);
    while let Some(record) = read(log, at) {
        if record.epoch > epoch {
            return Err(Damage::Later { epoch, found: record.epoch });
        }
        // Left over from before the log started again.
        if record.epoch < epoch || last.is_some_and(|last| record.number != last + 1) {
            break;
        }
        if last.is_none() && record.number > logged + 1 {
            return Err(Damage::Gap { needed: logged + 1, found: record.number });
        }
        last = Some(record.number);
        if record.number > logged {
            records.push(record);
        }
        at += usize::try_from(blocks(record.payload.len())).expect("a record fits into memory");
    }
    let reached = last.unwrap_or(0).max(logged);
    match good_after(log, at, epoch, reached) {
        Some(good) => Err(Damage::Bad { number: reached + 1, good }),
        None => Ok(records),
    }
}

/// A record after those up to `reached`, somewhere behind `at`.
fn good_after(log: &[u8], at: usize, epoch: u64, reached: u64) -> Option<u64> {
    let block = usize::try_from(BLOCK).expect("a small number fits");
    let all = (at..log.len()).step_by(block).filter_map(|at| read(log, at));
    all.filter(|record| record.epoch == epoch && record.number > reached).map(|record| record.number).min()
}

#[cfg(test)]
mod tests {
    use super::*;

    const EPOCH: u64 = 3;

    fn record(number: u64, payload: &[u8]) -> Record<'_> {
        Record { epoch: EPOCH, number, head: Revision::new(number * 2), payload }
    }

    /// Writes the records one after the other, over what is there; answers where the next one would begin.
    fn append(log: &mut [u8], mut at: usize, records: &[Record<'_>]) -> usize {
        for record in records {
            let len = usize::try_from(blocks(record.payload.len())).unwrap();
            write(&mut log[at..at + len], u64::try_from(at).unwrap(), record);
            at += len;
        }
        at
    }

    fn numbers(log: &[u8], logged: u64) -> Result<Vec<u64>, Damage> {
        Ok(whole_records(log, EPOCH, logged)?.iter().map(|record| record.number).collect())
    }

    #[test]
    fn records_read_back_from_the_one_that_is_needed_on() {
        let (mut log, large) = (vec![0; 1 << 16], vec![7; 10_000]);
        let records = [record(5, b"five"), record(6, &large), record(7, b""), record(8, b"eight")];
        append(&mut log, 0, &records);
        assert_eq!(whole_records(&log, EPOCH, 4).unwrap(), records);
        assert_eq!(whole_records(&log, EPOCH, 6).unwrap(), records[2..]);
        assert_eq!(whole_records(&log, EPOCH, 8).unwrap(), []);
        assert_eq!(whole_records(&vec![0; 1 << 16], EPOCH, 8).unwrap(), []);
        append(&mut log, (1 << 16) - 4096, &[record(9, &[9; 4096 - HEAD])]);
        assert_eq!(
            numbers(&log, 8).unwrap_err(),
            Damage::Bad { number: 9, good: 9 },
            "where nobody wrote it"
        );
    }

    #[test]
    fn a_last_record_torn_at_any_byte_is_dropped() {
        let (mut log, payload) = (vec![0xaa; 1 << 16], vec![7; 5000]);
        let begin = append(&mut log, 0, &[record(1, b"one"), record(2, b"two")]);
        let end = begin + HEAD + payload.len();
        let mut whole = log.clone();
        append(&mut whole, begin, &[record(3, &payload)]);
        assert_eq!(numbers(&whole, 0).unwrap(), [1, 2, 3]);
        for cut in begin..end {
            let mut torn = whole.clone();
            torn[cut..].copy_from_slice(&log[cut..]);
            assert_eq!(numbers(&torn, 0).unwrap(), [1, 2], "its first {} bytes", cut - begin);
            torn.copy_from_slice(&whole);
            torn[begin..=cut].copy_from_slice(&log[begin..=cut]);
            assert_eq!(numbers(&torn, 0).unwrap(), [1, 2], "without its first {} bytes", cut + 1 - begin);
        }
    }

    #[test]
    fn a_flipped_bit_in_any_record_but_the_last_is_damage() {
        let mut log = vec![0; 1 << 15];
        append(&mut log, 0, &[record(1, b"one"), record(2, b"two"), record(3, b"three")]);
        for (begin, number) in [(0, 1), (4096, 2)] {
            for bit in 0..(HEAD + 3) * 8 {
                let mut bad = log.clone();
                bad[begin + bit / 8] ^= 1 << (bit % 8);
                let expected = Damage::Bad { number, good: number + 1 };
                assert_eq!(numbers(&bad, 0).unwrap_err(), expected, "bit {bit} of record {number}");
            }
        }
    }

    #[test]
    fn what_an_earlier_round_left_behind_is_passed_over() {
        let mut log = vec![0; 1 << 16];
        let long = vec![1; 5000];
        append(&mut log, 0, &[record(1, b"a"), record(2, b"b"), record(3, &long), record(4, b"d")]);
        // A checkpoint contains all four.
        assert_eq!(numbers(&log, 4).unwrap(), [0u64; 0]);
        append(&mut log, 0, &[record(5, b"e")]);
        assert_eq!(numbers(&log, 4).unwrap(), [5]);
        append(&mut log, 4096, &[record(6, &long)]);
        assert_eq!(numbers(&log, 4).unwrap(), [5, 6]);
        // Another opening of the store begins anew.
        assert_eq!(whole_records(&log, EPOCH + 1, 6).unwrap(), []);
    }

    #[test]
    fn a_log_that_does_not_belong_to_the_data_file_is_refused() {
        let mut log = vec![0; 1 << 15];
        append(&mut log, 0, &[record(7, b"x"), record(8, b"y")]);
        assert_eq!(numbers(&log, 5).unwrap_err(), Damage::Gap { needed: 6, found: 7 });
        assert_eq!(
            whole_records(&log, EPOCH - 1, 7).unwrap_err(),
            Damage::Later { epoch: EPOCH - 1, found: EPOCH }
        );
    }
}
