//! Having won an election.

use std::fmt;

use tokio_util::sync::CancellationToken;

use crate::{Guard, Key, Revision};

/// Leading an election, until it is dropped, resigned or lost.
///
/// Losing is never known at once by the one who lost. So every write a leader makes carries [`Leadership::guard`]:
/// a write of a deposed leader conflicts.
pub struct Leadership {
    key: Key,
    fence: Revision,
    lost: CancellationToken,
    resign: Option<Box<dyn FnOnce() + Send + Sync>>,
}

impl Leadership {
    /// Engines make one when a campaign is won: `key` is the election's record, created at `fence`; `lost` is
    /// cancelled when the record is gone; `resign` removes it without waiting.
    pub(crate) fn new(
        key: Key,
        fence: Revision,
        lost: CancellationToken,
        resign: impl FnOnce() + Send + Sync + 'static,
    ) -> Self {
        Self { key, fence, lost, resign: Some(Box::new(resign)) }
    }

    /// Strictly greater than that of every earlier leader of this election, also across restarts.
    #[must_use]
    pub const fn fence(&self) -> u64 {
        self.fence.get()
    }

    /// Holds as long as this leads.
    #[must_use]
    pub fn guard(&self) -> Guard {
        Guard::Created(self.key.clone(), self.fence)
    }

    /// The election's record; its value says who leads.
    #[must_use]
    pub const fn key(&self) -> &Key {
        &self.key
    }

    /// Resolves when leadership is known to be lost.
    pub async fn lost(&self) {
        self.lost.cancelled().await;
    }

    /// Lets the next candidate win now. The same as dropping.
    pub fn resign(self) {}
}

impl Drop for Leadership {
    fn drop(&mut self) {
        if let Some(resign) = self.resign.take() {
            resign();
        }
    }
}

impl fmt::Debug for Leadership {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Leadership")
            .field("key", &self.key)
            .field("fence", &self.fence)
            .finish_non_exhaustive()
    }
}
