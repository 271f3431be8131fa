//! Lookups, lists and old batches, from a consistent view. Called where waiting for the disk is allowed.

use std::ops::Bound;
use std::sync::Arc;
use std::time::Instant;

use redb::{ReadTransaction, ReadableTableMetadata};

use crate::{Batch, Key, Lookup, Page, Range, ReadError, Revision, Status};

use super::engine::{Engine, unreadable};
use super::group::{Failed, damaged};
use super::record;
use super::tables::{HISTORY, KEYS, span_of};

/// Old batches, as far as they exist.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Past {
    /// Without gaps from the revision asked for; none if it is the next one.
    Batches(Vec<Arc<Batch>>),
    /// The revision asked for is older than this, or lies in a future that is not ours.
    Gone { oldest: Revision },
}

impl Engine {
    pub(super) fn lookup(&self, key: &Key) -> Result<Lookup, ReadError> {
        let view = self.begin_read()?;
        let find = || -> Result<Lookup, Failed> {
            let record = view.open_table(KEYS)?.get(&key[..])?;
            let entry =
                record.map(|record| record::read_entry(key, record.value()).map_err(|_| damaged(key)));
            Ok(Lookup { entry: entry.transpose()?, revision: span_of(&view)?.head })
        };
        find().map_err(|error| unreadable(&error))
    }

    pub(super) fn page(&self, range: &Range) -> Result<Page, ReadError> {
        let (view, revision) = self.view_at(range.at)?;
        let page = list(&view, revision, range).map_err(|error| unreadable(&error))?;
        if page.more {
            self.pins().keep(revision, view, Instant::now());
        }
        Ok(page)
    }

    fn view_at(&self, at: Option<Revision>) -> Result<(Arc<ReadTransaction>, Revision), ReadError> {
        if let Some(at) = at
            && let Some(view) = self.pins().get(at)
        {
            return Ok((view, at));
        }
        let view = self.begin_read()?;
        let head = span_of(&view).map_err(|error| unreadable(&error))?.head;
        match at {
            Some(asked) if asked != head => Err(ReadError::Compacted { asked }),
            _ => Ok((Arc::new(view), head)),
        }
    }

    pub(super) fn past(&self, from: Revision, most: usize) -> Result<Past, ReadError> {
        let view = self.begin_read()?;
        let read = || -> Result<Past, Failed> {
            let span = span_of(&view)?;
            if from < span.oldest || from > span.head.next() {
                return Ok(Past::Gone { oldest: span.oldest });
            }
            let mut batches = Vec::new();
            for row in view.open_table(HISTORY)?.range(from.get()..)?.take(most) {
                let (revision, record) = row?;
                batches.push(Arc::new(record::read_batch(Revision::new(revision.value()), record.value())?));
            }
            Ok(Past::Batches(batches))
        };
        read().map_err(|error| unreadable(&error))
    }

    pub(super) fn state(&self) -> Result<Status, ReadError> {
        let view = self.begin_read()?;
        let look = || -> Result<Status, Failed> {
            let span = span_of(&view)?;
            let keys = view.open_table(KEYS)?.len()?;
            let paths = [super::open::data_path(&self.directory), super::log::log_path(&self.directory)];
            let mut disk_bytes = 0;
            for path in paths {
                disk_bytes += std::fs::metadata(path)?.len();
            }
            Ok(Status {
                engine: "embedded",
                revision: span.head,
                oldest: span.oldest,
                keys,
                disk_bytes,
                epoch: Some(self.epoch),
                leader: None,
            })
        };
        look().map_err(|error| unreadable(&error))
    }
}

fn list(view: &ReadTransaction, revision: Revision, range: &Range) -> Result<Page, Failed> {
    let keys = view.open_table(KEYS)?;
    let end = end_of(&range.prefix);
    let start = match &range.after {
        // A key before the prefix must not widen the range.
        Some(after) if **after >= *range.prefix => Bound::Excluded(&after[..]),
        _ => Bound::Included(&range.prefix[..]),
    };
    let end = end.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
    let mut page = Page { entries: Vec::new(), revision, more: false };
    if is_empty(start, end) {
        return Ok(page);
    }
    for row in keys.range::<&[u8]>((start, end))? {
        let (key, record) = row?;
        if range.limit.is_some_and(|limit| page.entries.len() >= limit) {
            page.more = true;
            break;
        }
        let entry = record::read_entry(key.value(), record.value());
        page.entries.push(entry.map_err(|_| damaged(&Key::from(key.value())))?);
    }
    Ok(page)
}

/// The first key after all that begin with `prefix`; none if there is no such key.
fn end_of(prefix: &[u8]) -> Option<Vec<u8>> {
    let last = prefix.iter().rposition(|&byte| byte != 0xff)?;
    let mut end = prefix[..=last].to_vec();
    end[last] += 1;
    Some(end)
}

fn is_empty(start: Bound<&[u8]>, end: Bound<&[u8]>) -> bool {
    matches!((start, end), (Bound::Excluded(start) | Bound::Included(start), Bound::Excluded(end)) if start >= end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_prefix_carries_over_full_bytes() {
        assert_eq!(end_of(b"ab"), Some(b"ac".to_vec()));
        assert_eq!(end_of(b"a\xff\xff"), Some(b"b".to_vec()));
        assert_eq!(end_of(b"\xff\xff"), None);
        assert_eq!(end_of(b""), None);
    }
}
