//! Lists kept for their later pages.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::{Entry, Key, Page, Range, Revision};

const MOST: usize = 8;
const IDLE: Duration = Duration::from_secs(30);

type List = Arc<Vec<Entry>>;

/// See the module. Entries share their keys and values with the copy.
#[derive(Debug, Default)]
pub(super) struct Pins {
    lists: BTreeMap<(Revision, Key), (Instant, List)>,
}

impl Pins {
    /// Keeps the list of all under `prefix` at `revision` for [`IDLE`]; the least recently used goes if there are
    /// too many.
    pub(super) fn keep(&mut self, revision: Revision, prefix: Key, list: List, now: Instant) {
        self.lists.insert((revision, prefix), (now, list));
        if self.lists.len() > MOST {
            let oldest = self.lists.iter().min_by_key(|(_, (used, _))| *used).map(|(at, _)| at.clone());
            oldest.and_then(|at| self.lists.remove(&at));
        }
    }

    /// The list that a later page is of, if it is kept.
    pub(super) fn find(&mut self, revision: Revision, prefix: &Key, now: Instant) -> Option<List> {
        let (used, list) = self.lists.get_mut(&(revision, prefix.clone()))?;
        *used = now;
        Some(Arc::clone(list))
    }

    /// Drops what nobody used for [`IDLE`].
    pub(super) fn drop_old(&mut self, now: Instant) {
        self.lists.retain(|_, (used, _)| now.saturating_duration_since(*used) < IDLE);
    }
}

/// A page of a kept list.
pub(super) fn page_of(list: &[Entry], revision: Revision, range: &Range) -> Page {
    let start = range.after.as_ref().map_or(0, |after| list.partition_point(|entry| entry.key <= *after));
    let rest = &list[start..];
    let limit = range.limit.unwrap_or(usize::MAX).min(rest.len());
    Page { entries: rest[..limit].to_vec(), revision, more: limit < rest.len() }
}
