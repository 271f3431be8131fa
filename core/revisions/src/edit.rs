//! What a writer asks for, and why it may be refused.

use std::collections::BTreeMap;
use std::fmt;

use kogge_model::digest::Digest;
use kogge_model::fault::Faults;
use kogge_model::id::RevisionId;
use kogge_model::time::Timestamp;
use thiserror::Error;

use crate::node::Subtree;
use crate::path::TreePath;

/// One change of one path. Several make one revision together, or none does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edit {
    /// Where.
    pub path: TreePath,
    /// What the writer believes to stand there.
    pub expected: Expected,
    /// What shall stand there.
    pub action: Action,
}

/// What an edit does at its path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// This, whole, instead of what is there; missing groups above are made.
    Put(Subtree),
    /// These notes at a group, whose children stay; a missing group is made.
    SetMeta(BTreeMap<String, String>),
    /// Nothing. Groups above stay, even empty.
    Remove,
    /// What stood there in that revision, and nothing if nothing did.
    Reset(RevisionId),
}

/// What a writer believes to stand at a path before any edit of the same revision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expected {
    /// Does not care.
    Any,
    /// Nothing.
    Absent,
    /// Exactly this node.
    Digest(Digest),
    /// The same as in that revision.
    SameAs(RevisionId),
}

/// Who writes, when and what for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Author {
    /// Who.
    pub name: String,
    /// When.
    pub at: Timestamp,
    /// What for.
    pub message: String,
}

/// Why a write was refused; nothing of it was done.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum WriteError {
    /// Somebody else was faster (or the writer was wrong). Read again, then write again.
    #[error("conflict at {path}: expected {}, found {}", Found(*.expected), Found(*.actual))]
    Conflict {
        /// Where.
        path: TreePath,
        /// What the writer believed to stand there.
        expected: Option<Digest>,
        /// What does.
        actual: Option<Digest>,
    },
    /// The content breaks a rule.
    #[error("invalid content for {path}: {faults}")]
    Invalid {
        /// Where.
        path: TreePath,
        /// Each broken rule with its field.
        faults: Faults,
    },
    /// The revision was never made, or its history is already forgotten.
    #[error("revision {revision} is not kept: the oldest is {oldest}, the newest {newest}")]
    NoSuchRevision {
        /// The one that was asked for.
        revision: RevisionId,
        /// The oldest that is kept.
        oldest: RevisionId,
        /// The newest.
        newest: RevisionId,
    },
}

struct Found(Option<Digest>);

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(digest) => write!(f, "sha256:{}", digest.short()),
            None => f.write_str("nothing"),
        }
    }
}

impl Edit {
    /// Puts `content` at `path`, whatever stands there.
    #[must_use]
    pub const fn put(path: TreePath, content: Subtree) -> Self {
        Self { path, expected: Expected::Any, action: Action::Put(content) }
    }

    /// Removes what stands at `path`.
    #[must_use]
    pub const fn remove(path: TreePath) -> Self {
        Self { path, expected: Expected::Any, action: Action::Remove }
    }

    /// Brings `path` back to what it was in `revision`.
    #[must_use]
    pub const fn reset(path: TreePath, revision: RevisionId) -> Self {
        Self { path, expected: Expected::Any, action: Action::Reset(revision) }
    }

    /// The same edit, made only if `expected` stands at the path.
    #[must_use]
    pub fn if_there_is(mut self, expected: Expected) -> Self {
        self.expected = expected;
        self
    }
}
