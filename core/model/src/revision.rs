//! One immutable state of the whole desired tree.

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::id::RevisionId;
use crate::time::Timestamp;

/// A revision: a root digest with its history.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Revision {
    /// Its number, from 1.
    pub id: RevisionId,
    /// The one it was made from; none for the first.
    pub parent: Option<RevisionId>,
    /// The root group's digest.
    pub root: Digest,
    /// Who made it.
    pub author: String,
    /// When.
    pub at: Timestamp,
    /// What for.
    pub message: String,
}
