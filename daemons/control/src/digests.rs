//! Servers tell each other what their copies contain, and find out when one of them is wrong (G5).
//!
//! ```text
//!   own copy ──digest at revision n──▶ digest/<server> ──watch──▶ others: their own digest at n
//!                                                                  │ equal: nothing
//!                                                                  │ forgotten, other formula: nothing
//!                                                                  └ different: alarm, read everything anew
//! ```
//!
//! Who is wrong cannot be known: both read anew. One that is right loses nothing by it.

use kogge_store::{Commit, Event, LeaseId, Revision, Store};
use serde::{Deserialize, Serialize};

use crate::copy::Copy;
use crate::image::Image;
use crate::keys;
use crate::state_digest::{FORMAT, StateDigest};

/// What a server tells of its copy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct DigestRecord {
    /// The formula.
    format: u32,
    revision: Revision,
    /// In hex.
    digest: String,
}

/// Another server holds something else than this one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mismatch {
    /// The other one.
    pub(crate) server: String,
    /// When both should have held the same.
    pub(crate) revision: Revision,
    pub(crate) own: StateDigest,
    pub(crate) other: String,
}

/// The word of another server, on its way into the copy.
pub(crate) struct Told {
    server: String,
    record: DigestRecord,
}

/// Who tells what in `events`. What cannot be read was written by a newer version.
pub(crate) fn told(events: &[Event]) -> Vec<Told> {
    let told = events.iter().filter_map(|event| {
        let Event::Put(entry) = event else { return None };
        let server = entry.key.as_str()?.strip_prefix(keys::DIGESTS)?.to_owned();
        Some(Told { server, record: serde_json::from_slice(&entry.value).ok()? })
    });
    told.collect()
}

impl Told {
    /// Whether `image`, which has what was told and all before it, contradicts.
    pub(crate) fn against(self, image: &Image) -> Option<Mismatch> {
        let Self { server, record: DigestRecord { format, revision, digest: other } } = self;
        if format != FORMAT || revision > image.revision() {
            return None;
        }
        let own = image.trail().at(revision)?;
        (own.to_string() != other).then_some(Mismatch { server, revision, own, other })
    }
}

/// Tells what this server's copy contains.
pub(crate) struct Teller {
    copy: Copy,
    /// This server's name.
    own: String,
    last: Option<(Revision, StateDigest)>,
}

impl Teller {
    /// Has told nothing yet.
    pub(crate) const fn new(copy: Copy, own: String) -> Self {
        Self { copy, own, last: None }
    }

    /// Tells if there is news since the last time; it is forgotten when `lease` ends.
    pub(crate) async fn tell(
        &mut self,
        store: &dyn Store,
        lease: LeaseId,
    ) -> Result<(), kogge_store::CommitError> {
        let newest = self.copy.image().trail().newest();
        let Some((revision, digest)) = newest.filter(|_| newest != self.last) else { return Ok(()) };
        let record = DigestRecord { format: FORMAT, revision, digest: digest.to_string() };
        let value = serde_json::to_vec(&record).expect("a record is plain data");
        let key = keys::under(keys::DIGESTS, &self.own);
        store.commit(Commit::new().put_leased(key, value, lease)).await?;
        self.last = newest;
        Ok(())
    }
}

#[cfg(test)]
pub(crate) mod tests;
