//! Having won an election.

use std::fmt;
use std::time::Instant;

use tokio::sync::watch;
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
    /// Until when it is certain, told anew with each sign of life; none where it ends only when it is given up.
    certain: Option<watch::Receiver<Instant>>,
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
        Self { key, fence, lost, resign: Some(Box::new(resign)), certain: None }
    }

    /// The same, which nobody else can have before the time that is told.
    pub(crate) fn certain_until(mut self, certain: watch::Receiver<Instant>) -> Self {
        self.certain = Some(certain);
        self
    }

    /// Whether this leads for certain, looked up on the clock: also for a process that stood still and has not been
    /// told yet that it lost.
    #[must_use]
    pub fn holds(&self) -> bool {
        let is_certain = |certain: &watch::Receiver<Instant>| Instant::now() < *certain.borrow();
        !self.lost.is_cancelled() && self.certain.as_ref().is_none_or(is_certain)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leadership_that_is_not_certain_any_more_does_not_hold_though_nobody_has_said_so() {
        let (tell, certain) = watch::channel(Instant::now() + std::time::Duration::from_secs(3_600));
        let lost = CancellationToken::new();
        let leadership = Leadership::new(Key::election("test"), Revision::new(1), lost.clone(), || {})
            .certain_until(certain);
        assert!(leadership.holds());
        tell.send_replace(Instant::now());
        assert!(!leadership.holds());
        tell.send_replace(Instant::now() + std::time::Duration::from_secs(3_600));
        assert!(leadership.holds());
        lost.cancel();
        assert!(!leadership.holds());
    }
}
