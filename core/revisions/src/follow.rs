//! Following: a tree that is only looked at goes on with what the one that is written to has saved.

use kogge_model::digest::Digest;
use kogge_model::id::RevisionId;
use kogge_model::revision::Revision;

use crate::restore::{RestoreError, insert_with_children, missing_root, read_nodes};
use crate::tree::Tree;

/// What became of records since they were last read; each is named once.
#[derive(Debug, Clone, Default)]
pub struct RecordChanges {
    /// Nodes that are stored now, by their names.
    pub nodes: Vec<(Digest, Vec<u8>)>,
    /// Nodes that are no longer stored.
    pub forgotten_nodes: Vec<Digest>,
    /// Revisions that are stored now.
    pub revisions: Vec<Revision>,
    /// Revisions that are no longer stored.
    pub forgotten_revisions: Vec<RevisionId>,
}

impl Tree {
    /// Goes on to what is stored now, at the cost of what changed. The result is that of [`Tree::restore`] of all of it.
    ///
    /// # Errors
    /// When a node is damaged, unreadable or missing; the tree must then be restored from all that is stored.
    pub fn follow(&mut self, changes: RecordChanges) -> Result<(), RestoreError> {
        let RecordChanges { nodes, forgotten_nodes, revisions, forgotten_revisions } = changes;
        let stored = read_nodes(nodes)?;
        for digest in stored.keys() {
            insert_with_children(&mut self.nodes, &stored, *digest)?;
        }
        for revision in revisions {
            if !self.nodes.contains(&revision.root) {
                return Err(missing_root(&revision));
            }
            self.nodes.hold(&revision.root);
            if let Some(old) = self.revisions.insert(revision.id, revision) {
                self.nodes.release(&old.root);
            }
        }
        for id in forgotten_revisions {
            if let Some(old) = self.revisions.remove(&id) {
                self.nodes.release(&old.root);
            }
        }
        self.forget_nodes(forgotten_nodes)
    }

    /// Parents before their children, whatever their order.
    fn forget_nodes(&mut self, mut forgotten: Vec<Digest>) -> Result<(), RestoreError> {
        forgotten.retain(|digest| self.nodes.contains(digest));
        while !forgotten.is_empty() {
            let before = forgotten.len();
            forgotten.retain(|digest| {
                let is_needed = self.nodes.references(digest) > 0;
                if !is_needed {
                    self.nodes.remove(digest);
                }
                is_needed
            });
            if forgotten.len() == before {
                let needed_by = "another node or a revision".to_owned();
                return Err(RestoreError::MissingNode { missing: forgotten[0], needed_by });
            }
        }
        Ok(())
    }
}
