//! What can go wrong, told apart by what the caller should do.

use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;

use crate::{LeaseId, Refusal, Revision};

/// The engine cannot answer. Nothing was changed.
#[derive(Debug, Clone, Error)]
#[error("state engine unavailable: {reason}")]
pub struct Unavailable {
    /// Why, for people.
    pub reason: Arc<str>,
}

impl Unavailable {
    /// With a reason that completes "state engine unavailable: …".
    #[must_use]
    pub fn new(reason: impl Into<Arc<str>>) -> Self {
        Self { reason: reason.into() }
    }
}

/// A read that was not answered.
#[derive(Debug, Clone, Error)]
pub enum ReadError {
    /// The revision asked for is no longer, or not yet, readable: start over.
    #[error("revision {asked} cannot be read any more")]
    Compacted {
        /// What was asked for.
        asked: Revision,
    },
    /// Try again later.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

/// A commit that was not acknowledged. Only [`CommitError::OutcomeUnknown`] leaves open whether it applied; after
/// all others nothing of it did.
#[derive(Debug, Clone, Error)]
pub enum CommitError {
    /// A guard did not hold: read again, decide again.
    #[error("guard {index} does not hold")]
    Conflict {
        /// Position of the first such guard.
        index: usize,
    },
    /// The caller's mistake; the same commit will always be refused.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The lease of a put has ended.
    #[error("operation {index} names lease {lease}, which has ended")]
    LeaseEnded {
        /// Position of the operation.
        index: usize,
        /// The lease it names.
        lease: LeaseId,
    },
    /// The engine's disk or quota is full. Reads go on; deletes may.
    #[error("no space left for the state engine")]
    NoSpace,
    /// Try again later.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
    /// The engine went away in the middle: the commit may or may not have applied.
    #[error("commit lost its answer, it may or may not have applied: {reason}")]
    OutcomeUnknown {
        /// Why, for people.
        reason: Arc<str>,
    },
}

impl CommitError {
    /// Whether the same commit can succeed later without the caller changing it.
    #[must_use]
    pub const fn is_retryable(&self) -> bool {
        matches!(self, Self::NoSpace | Self::Unavailable(_))
    }
}

/// A lease operation that failed.
#[derive(Debug, Clone, Error)]
pub enum LeaseError {
    /// It ended, or never was.
    #[error("lease {lease} has ended")]
    NotFound {
        /// Which.
        lease: LeaseId,
    },
    /// The TTL asked for is no sensible one.
    #[error("lease time of {ttl:?} is not between 10 ms and 24 h")]
    TtlOutOfBounds {
        /// What was asked for.
        ttl: Duration,
    },
    /// The engine's disk or quota is full.
    #[error("no space left for the state engine")]
    NoSpace,
    /// Try again later.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

/// A campaign that can no longer succeed.
#[derive(Debug, Clone, Error)]
#[error("cannot stand for election {name:?}")]
pub struct CampaignError {
    /// The election.
    pub name: String,
    /// What failed.
    #[source]
    pub source: CommitError,
}
