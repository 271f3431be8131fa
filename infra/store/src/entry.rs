//! What is stored, and how it changed.

use bytes::Bytes;

use crate::{Key, LeaseId, Revision};

/// One key with its value and its history in numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Where it is stored.
    pub key: Key,
    /// What is stored.
    pub value: Bytes,
    /// The batch that created it; a delete and a new put start again.
    pub created: Revision,
    /// The batch that last put it.
    pub modified: Revision,
    /// Puts since it was created: 1 after the first.
    pub version: u64,
    /// The lease whose end deletes it.
    pub lease: Option<LeaseId>,
}

/// What one batch did to one key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// It now has this value.
    Put(Entry),
    /// It is gone.
    Delete {
        /// What is gone.
        key: Key,
    },
}

impl Event {
    /// The key it happened to.
    #[must_use]
    pub fn key(&self) -> &Key {
        match self {
            Self::Put(entry) => &entry.key,
            Self::Delete { key } => key,
        }
    }
}

/// Everything one commit did: at most one event a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// When.
    pub revision: Revision,
    /// What, in the order of the operations.
    pub events: Vec<Event>,
}
