//! All nodes by digest, with how often each is referred to.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use kogge_model::digest::Digest;

use crate::node::Node;

/// Nodes by digest. A node lives as long as a kept revision or another node refers to it.
#[derive(Debug, Clone, Default)]
pub(crate) struct NodeTable {
    entries: BTreeMap<Digest, Entry>,
    /// Entries without references, so that nobody searches for them.
    unreferenced: BTreeSet<Digest>,
}

#[derive(Debug, Clone)]
struct Entry {
    node: Arc<Node>,
    /// Revisions whose root it is, and child entries of other nodes that name it.
    references: u64,
    /// Nodes in the subtree, itself included.
    size: u64,
}

impl NodeTable {
    pub(crate) fn get(&self, digest: &Digest) -> Option<&Arc<Node>> {
        self.entries.get(digest).map(|entry| &entry.node)
    }

    pub(crate) fn contains(&self, digest: &Digest) -> bool {
        self.entries.contains_key(digest)
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(crate) fn references(&self, digest: &Digest) -> u64 {
        self.entries.get(digest).map_or(0, |entry| entry.references)
    }

    /// Nodes in the subtree of `digest`, 0 if it is not here.
    pub(crate) fn size(&self, digest: &Digest) -> u64 {
        self.entries.get(digest).map_or(0, |entry| entry.size)
    }

    /// Nodes that nothing refers to.
    pub(crate) fn unreferenced(&self) -> impl Iterator<Item = Digest> + '_ {
        self.unreferenced.iter().copied()
    }

    /// Adds a node whose children are here already; a known one stays as it is.
    pub(crate) fn insert(&mut self, digest: Digest, node: Arc<Node>) {
        if self.contains(&digest) {
            return;
        }
        let mut size = 1;
        for child in node.children() {
            self.hold(&child);
            size += self.size(&child);
        }
        self.entries.insert(digest, Entry { node, references: 0, size });
        self.unreferenced.insert(digest);
    }

    /// Notes a reference: a revision with this root, or a parent with this child.
    pub(crate) fn hold(&mut self, digest: &Digest) {
        let entry = self.entries.get_mut(digest).expect("what is referred to is in the table");
        entry.references += 1;
        self.unreferenced.remove(digest);
    }

    /// Notes that a reference is gone.
    pub(crate) fn release(&mut self, digest: &Digest) {
        let entry = self.entries.get_mut(digest).expect("what is referred to is in the table");
        entry.references = entry.references.checked_sub(1).expect("a node is released once for each hold");
        if entry.references == 0 {
            self.unreferenced.insert(*digest);
        }
    }

    /// Removes a node that nothing refers to; its children lose a reference.
    pub(crate) fn remove(&mut self, digest: &Digest) {
        let entry = self.entries.remove(digest).expect("only known nodes are forgotten");
        assert!(self.unreferenced.remove(digest), "{digest} is forgotten though something refers to it");
        for child in entry.node.children() {
            self.release(&child);
        }
    }
}
