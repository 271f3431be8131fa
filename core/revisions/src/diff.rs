//! What differs between two states of the tree. Equal digests are equal subtrees, so only what differs is visited.

use std::collections::BTreeMap;
use std::sync::Arc;

use kogge_model::digest::Digest;
use kogge_model::name::{Name, ServiceId};
use kogge_model::service::ServiceSpec;

use crate::node::{Group, Node};
use crate::path::TreePath;
use crate::tree::Tree;

/// One path that differs. A group differs only when its own notes do; its children stand for themselves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Difference {
    /// Nothing stood there before.
    Added {
        /// Where.
        path: TreePath,
        /// What stands there now.
        new: Digest,
    },
    /// Nothing stands there any more.
    Removed {
        /// Where.
        path: TreePath,
        /// What stood there before.
        old: Digest,
    },
    /// Something else stands there.
    Changed {
        /// Where.
        path: TreePath,
        /// What stood there before.
        old: Digest,
        /// What stands there now.
        new: Digest,
    },
}

impl Difference {
    /// Where it is.
    #[must_use]
    pub const fn path(&self) -> &TreePath {
        match self {
            Self::Added { path, .. } | Self::Removed { path, .. } | Self::Changed { path, .. } => path,
        }
    }

    /// What stands there now.
    #[must_use]
    pub const fn after(&self) -> Option<Digest> {
        match self {
            Self::Added { new, .. } | Self::Changed { new, .. } => Some(*new),
            Self::Removed { .. } => None,
        }
    }
}

impl Tree {
    /// What differs between the subtrees `old` and `new` (of any kept revisions; none is the empty one), in the
    /// order of the paths. Paths are told from the subtrees' own root.
    #[must_use]
    pub fn diff(&self, old: Option<Digest>, new: Option<Digest>) -> Vec<Difference> {
        let mut walk = Walk { tree: self, found: Vec::new(), visited: 0 };
        walk.compare(&TreePath::root(), old, new);
        walk.found
    }

    /// The services that differ between two roots, with what they are in `new`; this is what `services` is told.
    #[must_use]
    pub fn changed_services(
        &self,
        old: Option<Digest>,
        new: Option<Digest>,
    ) -> BTreeMap<ServiceId, Option<Arc<ServiceSpec>>> {
        let spec = |digest: Digest| match self.node(&digest).map(AsRef::as_ref) {
            Some(Node::Service(spec)) => Some(Arc::clone(spec)),
            Some(Node::Group(_)) | None => None,
        };
        let differences = self.diff(old, new);
        let services = differences.iter().filter_map(|difference| {
            Some((difference.path().service_id()?, difference.after().and_then(spec)))
        });
        services.collect()
    }
}

struct Walk<'a> {
    tree: &'a Tree,
    found: Vec<Difference>,
    /// Nodes that were looked at.
    visited: usize,
}

impl<'a> Walk<'a> {
    fn compare(&mut self, path: &TreePath, old: Option<Digest>, new: Option<Digest>) {
        if old == new {
            return;
        }
        let (old_node, new_node) = (self.visit(old), self.visit(new));
        let is_same_group = match (old_node, new_node) {
            (Some(Node::Group(old)), Some(Node::Group(new))) => old.meta == new.meta,
            _ => false,
        };
        let path = || path.clone();
        match (old, new) {
            (Some(old), Some(new)) if !is_same_group => {
                self.found.push(Difference::Changed { path: path(), old, new });
            }
            (None, Some(new)) => self.found.push(Difference::Added { path: path(), new }),
            (Some(old), None) => self.found.push(Difference::Removed { path: path(), old }),
            (Some(_), Some(_)) | (None, None) => {}
        }
        let empty = BTreeMap::new();
        let (old, new) = (children(old_node).unwrap_or(&empty), children(new_node).unwrap_or(&empty));
        let mut names: Vec<&Name> = old.keys().chain(new.keys()).collect();
        names.sort();
        names.dedup();
        for name in names {
            self.compare(&path().child(name.clone()), old.get(name).copied(), new.get(name).copied());
        }
    }

    fn visit(&mut self, digest: Option<Digest>) -> Option<&'a Node> {
        let node = self.tree.node(&digest?)?;
        self.visited += 1;
        Some(node)
    }
}

fn children(node: Option<&Node>) -> Option<&BTreeMap<Name, Digest>> {
    match node? {
        Node::Group(Group { children, .. }) => Some(children),
        Node::Service(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use kogge_model::template::Command;
    use kogge_model::time::Timestamp;

    use super::*;
    use crate::{Author, Config, Edit, Subtree};

    fn put(tree: &mut Tree, path: &str, instances: u32) {
        let mut spec = ServiceSpec { instances, ..ServiceSpec::default() };
        spec.template.command = Some(Command::Shell("sleep 1".into()));
        let edit = Edit::put(path.parse().unwrap(), Subtree::service(spec));
        let author = Author { name: "ann".into(), at: Timestamp::ZERO, message: String::new() };
        tree.apply(tree.plan(&[edit], &author).unwrap().unwrap());
    }

    #[test]
    fn only_the_way_to_what_differs_is_visited() {
        let mut tree = Tree::new(Config::default());
        for app in 0..40 {
            for service in 0..20 {
                put(&mut tree, &format!("/prod/app{app}/s{service}"), 1);
            }
        }
        let old = tree.head().unwrap().root;
        put(&mut tree, "/prod/app7/s7", 2);
        let new = tree.head().unwrap().root;
        let mut walk = Walk { tree: &tree, found: Vec::new(), visited: 0 };
        walk.compare(&TreePath::root(), Some(old), Some(new));
        assert_eq!(walk.visited, 8, "root, environment, app and service, in both trees");
        assert_eq!(walk.found.len(), 1);
        assert_eq!(walk.found[0].path().to_string(), "/prod/app7/s7");
    }
}
