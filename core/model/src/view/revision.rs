//! A revision of the tree, for people.

use serde::{Deserialize, Serialize};

use super::moment::Moment;
use crate::revision::Revision;

/// One immutable state of the whole desired tree.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RevisionView {
    /// Its number, from 1.
    pub revision: u64,
    /// The one it was made from.
    pub parent: Option<u64>,
    /// The root group's digest.
    pub root: String,
    /// Who made it.
    pub author: String,
    /// When.
    pub at: Moment,
    /// What for.
    pub message: String,
}

impl From<&Revision> for RevisionView {
    fn from(revision: &Revision) -> Self {
        Self {
            revision: revision.id.0,
            parent: revision.parent.map(|parent| parent.0),
            root: revision.root.to_string(),
            author: revision.author.clone(),
            at: revision.at.into(),
            message: revision.message.clone(),
        }
    }
}
