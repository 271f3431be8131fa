//! The tree as it is now and as it was: all kept revisions over one table of shared nodes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use kogge_model::digest::Digest;
use kogge_model::id::RevisionId;
use kogge_model::name::ServiceId;
use kogge_model::revision::Revision;
use kogge_model::service::ServiceSpec;

use crate::edit::{Author, Edit, WriteError};
use crate::node::{Node, Subtree};
use crate::node_table::NodeTable;
use crate::path::TreePath;
use crate::plan_write::{Write, plan_write};

/// Bounds of a tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Config {
    /// Revisions that are kept, pinned ones beside; at least 1.
    pub keep_revisions: usize,
    /// Nodes that one state of the tree may have.
    pub max_nodes: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self { keep_revisions: 10_000, max_nodes: 100_000 }
    }
}

/// Every kept revision of the desired tree.
#[derive(Debug, Clone)]
pub struct Tree {
    pub(crate) config: Config,
    pub(crate) nodes: NodeTable,
    /// A line: each one's parent is the one before it.
    pub(crate) revisions: BTreeMap<RevisionId, Revision>,
    /// Always kept ones.
    pub(crate) pinned: BTreeSet<RevisionId>,
}

impl Tree {
    /// A tree without any revision: nothing is wanted yet.
    #[must_use]
    pub fn new(config: Config) -> Self {
        Self { config, nodes: NodeTable::default(), revisions: BTreeMap::new(), pinned: BTreeSet::new() }
    }

    /// Plans one revision out of `edits`; `None` when they change nothing. The tree itself stays as it is: persist
    /// the write, then [`Tree::apply`] it, and plan the next one after that.
    ///
    /// # Errors
    /// The first conflict, broken rule or unknown revision; nothing is done then.
    pub fn plan(&self, edits: &[Edit], author: &Author) -> Result<Option<Write>, WriteError> {
        plan_write(self, edits, author)
    }

    /// Takes over a persisted write.
    ///
    /// # Panics
    /// When `write` was planned on another revision than the newest: the driver mixed up the order.
    pub fn apply(&mut self, write: Write) {
        let head = self.head().map(|revision| revision.id);
        assert_eq!(write.save_revision.parent, head, "a write is applied to the revision it was planned on");
        for (digest, node) in write.nodes {
            self.nodes.insert(digest, node);
        }
        self.nodes.hold(&write.save_revision.root);
        self.revisions.insert(write.save_revision.id, write.save_revision);
        for revision in write.forget_revisions {
            let gone = self.revisions.remove(&revision).expect("only kept revisions are forgotten");
            self.nodes.release(&gone.root);
        }
        for digest in write.forget_nodes {
            self.nodes.remove(&digest);
        }
    }

    /// Keeps `revision` beyond the bound of history, as long as it is needed for a roll-back. Tells whether it is
    /// (still) kept. Pins are not persisted: whoever needs one sets it again after a restore.
    pub fn pin(&mut self, revision: RevisionId) -> bool {
        self.revisions.contains_key(&revision) && {
            self.pinned.insert(revision);
            true
        }
    }

    /// Lets `revision` go with the next write if it is beyond the bound.
    pub fn unpin(&mut self, revision: RevisionId) {
        self.pinned.remove(&revision);
    }

    /// The newest revision; none in a tree that was never written.
    #[must_use]
    pub fn head(&self) -> Option<&Revision> {
        self.revisions.values().next_back()
    }

    /// A kept revision.
    #[must_use]
    pub fn revision(&self, id: RevisionId) -> Option<&Revision> {
        self.revisions.get(&id)
    }

    /// All kept revisions, oldest first.
    pub fn revisions(&self) -> impl DoubleEndedIterator<Item = &Revision> {
        self.revisions.values()
    }

    /// How many nodes are held, over all kept revisions.
    #[must_use]
    pub fn node_count(&self) -> usize {
        self.nodes.len()
    }

    /// The digest of what stands at `path` now.
    #[must_use]
    pub fn digest(&self, path: &TreePath) -> Option<Digest> {
        self.digest_under(self.head()?.root, path)
    }

    /// The digest of what stood at `path` in `revision`; none also when the revision is not kept.
    #[must_use]
    pub fn digest_at(&self, revision: RevisionId, path: &TreePath) -> Option<Digest> {
        self.digest_under(self.revision(revision)?.root, path)
    }

    /// The node at `path` now.
    #[must_use]
    pub fn get(&self, path: &TreePath) -> Option<&Arc<Node>> {
        self.node(&self.digest(path)?)
    }

    /// The spec of a service now.
    #[must_use]
    pub fn service(&self, id: &ServiceId) -> Option<&Arc<ServiceSpec>> {
        match self.get(&TreePath::from(id))?.as_ref() {
            Node::Service(spec) => Some(spec),
            Node::Group(_) => None,
        }
    }

    /// Every service wanted now.
    #[must_use]
    pub fn services(&self) -> BTreeMap<ServiceId, Arc<ServiceSpec>> {
        let head = self.head().map(|revision| revision.root);
        self.changed_services(None, head).into_iter().filter_map(|(id, spec)| Some((id, spec?))).collect()
    }

    /// A node by digest, of any kept revision.
    #[must_use]
    pub fn node(&self, digest: &Digest) -> Option<&Arc<Node>> {
        self.nodes.get(digest)
    }

    /// The node `digest` with everything below it by value.
    #[must_use]
    pub fn subtree(&self, digest: &Digest) -> Option<Subtree> {
        Some(match self.node(digest)?.as_ref() {
            Node::Service(spec) => Subtree::Service(Arc::clone(spec)),
            Node::Group(group) => {
                let children = group.children.iter();
                let children = children.map(|(name, child)| Some((name.clone(), self.subtree(child)?)));
                Subtree::Group { meta: group.meta.clone(), children: children.collect::<Option<_>>()? }
            }
        })
    }

    pub(crate) fn digest_under(&self, root: Digest, path: &TreePath) -> Option<Digest> {
        path.segments().iter().try_fold(root, |digest, name| match self.node(&digest)?.as_ref() {
            Node::Group(group) => group.children.get(name).copied(),
            Node::Service(_) => None,
        })
    }
}
