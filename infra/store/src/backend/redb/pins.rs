//! Views kept readable for the later pages of a list.
//!
//! A view keeps redb from reusing what was deleted since, so there are few, and they end. Old ones are dropped by
//! the writer: only writes make them cost anything.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use redb::ReadTransaction;

use crate::Revision;

const MOST: usize = 8;
const IDLE: Duration = Duration::from_secs(30);

/// See the module.
#[derive(Default)]
pub(super) struct Pins {
    views: BTreeMap<Revision, (Instant, Arc<ReadTransaction>)>,
}

impl Pins {
    /// Keeps the view at `revision` for [`IDLE`] from now; the least recently used goes if there are too many.
    pub(super) fn keep(&mut self, revision: Revision, view: Arc<ReadTransaction>, now: Instant) {
        self.views.insert(revision, (now, view));
        if self.views.len() > MOST {
            let oldest = self.views.iter().min_by_key(|(_, (used, _))| *used).map(|(revision, _)| *revision);
            oldest.and_then(|revision| self.views.remove(&revision));
        }
    }

    /// The view at `revision`, if it is kept.
    pub(super) fn get(&self, revision: Revision) -> Option<Arc<ReadTransaction>> {
        self.views.get(&revision).map(|(_, view)| Arc::clone(view))
    }

    /// Drops what nobody used for [`IDLE`].
    pub(super) fn drop_old(&mut self, now: Instant) {
        self.views.retain(|_, (used, _)| now.saturating_duration_since(*used) < IDLE);
    }

    /// Drops all.
    pub(super) fn clear(&mut self) {
        self.views.clear();
    }
}

impl std::fmt::Debug for Pins {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.views.keys()).finish()
    }
}
