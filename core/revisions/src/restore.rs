//! The tree as the store has it. Whatever does not fit is told, never guessed (G4).

use std::collections::BTreeMap;
use std::sync::Arc;

use kogge_model::digest::Digest;
use kogge_model::id::RevisionId;
use kogge_model::revision::Revision;
use thiserror::Error;

use crate::node::{Node, NodeError};
use crate::node_table::NodeTable;
use crate::tree::{Config, Tree};

/// Why stored records are no tree.
#[derive(Debug, Error)]
pub enum RestoreError {
    /// The bytes are not the ones that were written.
    #[error("cannot restore the tree: the bytes stored as {stored} are {actual}")]
    Damaged {
        /// The name they are stored under.
        stored: Digest,
        /// What they are.
        actual: Digest,
    },
    /// The bytes are whole, but no node.
    #[error("cannot restore the tree: {stored} is unreadable")]
    Unreadable {
        /// The name they are stored under.
        stored: Digest,
        /// What is wrong with them.
        source: NodeError,
    },
    /// A node is referred to, but not stored.
    #[error("cannot restore the tree: {missing} is missing, needed by {needed_by}")]
    MissingNode {
        /// The node.
        missing: Digest,
        /// Who refers to it.
        needed_by: String,
    },
    /// Two revisions have one number.
    #[error("cannot restore the tree: revision {0} is stored twice")]
    RepeatedRevision(RevisionId),
}

impl Tree {
    /// The tree out of all stored nodes and revisions, in any order.
    ///
    /// # Errors
    /// When a node is damaged, unreadable or missing.
    pub fn restore(
        config: Config,
        nodes: impl IntoIterator<Item = (Digest, Vec<u8>)>,
        revisions: impl IntoIterator<Item = Revision>,
    ) -> Result<Self, RestoreError> {
        let mut tree = Self::new(config);
        let stored = read_nodes(nodes)?;
        for digest in stored.keys() {
            insert_with_children(&mut tree.nodes, &stored, *digest)?;
        }
        for revision in revisions {
            if !tree.nodes.contains(&revision.root) {
                return Err(missing_root(&revision));
            }
            tree.nodes.hold(&revision.root);
            if let Some(twin) = tree.revisions.insert(revision.id, revision) {
                return Err(RestoreError::RepeatedRevision(twin.id));
            }
        }
        Ok(tree)
    }
}

pub(crate) fn missing_root(revision: &Revision) -> RestoreError {
    RestoreError::MissingNode { missing: revision.root, needed_by: format!("revision {}", revision.id) }
}

pub(crate) fn read_nodes(
    nodes: impl IntoIterator<Item = (Digest, Vec<u8>)>,
) -> Result<BTreeMap<Digest, Arc<Node>>, RestoreError> {
    let mut stored = BTreeMap::new();
    for (digest, bytes) in nodes {
        let actual = Digest::of(&bytes);
        if actual != digest {
            return Err(RestoreError::Damaged { stored: digest, actual });
        }
        let node =
            Node::decode(&bytes).map_err(|source| RestoreError::Unreadable { stored: digest, source })?;
        stored.insert(digest, Arc::new(node));
    }
    Ok(stored)
}

/// The depth of this recursion is the tree's: a digest cannot be its own ancestor.
pub(crate) fn insert_with_children(
    table: &mut NodeTable,
    stored: &BTreeMap<Digest, Arc<Node>>,
    digest: Digest,
) -> Result<(), RestoreError> {
    if table.contains(&digest) {
        return Ok(());
    }
    let node = &stored[&digest];
    for child in node.children() {
        if !stored.contains_key(&child) && !table.contains(&child) {
            let needed_by = format!("node {digest}");
            return Err(RestoreError::MissingNode { missing: child, needed_by });
        }
        insert_with_children(table, stored, child)?;
    }
    table.insert(digest, Arc::clone(node));
    Ok(())
}
