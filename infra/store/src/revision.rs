//! The store's clock: one number per committed batch.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Counts committed batches; strictly increasing, never reused. Zero is the empty store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Revision(u64);

impl Revision {
    /// Before the first batch.
    pub const ZERO: Self = Self(0);

    /// A revision that was handed out before.
    #[must_use]
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// The number, as clients see it (`X-Consul-Index`, event ids).
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The one after this: where to watch from after having seen this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
