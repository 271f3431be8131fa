//! The versions of one path: the revisions that touched it.

use kogge_model::digest::Digest;
use kogge_model::revision::Revision;

use crate::path::TreePath;
use crate::tree::Tree;

/// A revision that touched a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PathVersion<'a> {
    /// The revision.
    pub revision: &'a Revision,
    /// What stood at the path since then; none when the revision removed it.
    pub digest: Option<Digest>,
}

impl Tree {
    /// Revisions that touched `path`, newest first, at most `limit`. The oldest kept revision counts as one of them
    /// if the path stood in it: what came before is forgotten.
    #[must_use]
    pub fn history(&self, path: &TreePath, limit: usize) -> Vec<PathVersion<'_>> {
        let newest_first = self.revisions.values().rev();
        let before = newest_first.clone().skip(1).map(Some).chain([None]);
        let versions = newest_first.zip(before).filter_map(|(revision, before)| {
            let digest = self.digest_under(revision.root, path);
            let earlier = before.and_then(|before| self.digest_under(before.root, path));
            (digest != earlier).then_some(PathVersion { revision, digest })
        });
        versions.take(limit).collect()
    }
}
