//! Edits become one write: new nodes, a new revision, and what history lets go.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use kogge_model::digest::Digest;
use kogge_model::fault::Faults;
use kogge_model::id::RevisionId;
use kogge_model::name::Name;
use kogge_model::revision::Revision;

use crate::edit::{Action, Author, Edit, Expected, WriteError};
use crate::node::{Group, Node, Subtree};
use crate::path::TreePath;
use crate::rules::{check_meta, check_subtree};
use crate::tree::Tree;

/// What the driver persists in one commit, guarded by the parent still being the newest revision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Write {
    /// New nodes by digest with their bytes, children before parents.
    pub save_nodes: Vec<(Digest, Vec<u8>)>,
    /// The new revision.
    pub save_revision: Revision,
    /// Revisions beyond the bound of history.
    pub forget_revisions: Vec<RevisionId>,
    /// Nodes that only those referred to, parents before children.
    pub forget_nodes: Vec<Digest>,
    /// The same as `save_nodes`, for the tree in memory.
    pub(crate) nodes: Vec<(Digest, Arc<Node>)>,
}

pub(crate) fn plan_write(tree: &Tree, edits: &[Edit], author: &Author) -> Result<Option<Write>, WriteError> {
    for edit in edits {
        check_expectation(tree, edit)?;
        check_rules(edit)?;
    }
    let mut draft = Draft { tree, fresh: BTreeMap::new() };
    let base = tree.head().map(|revision| revision.root);
    let mut root = base;
    for edit in edits {
        root = draft.edit(root, edit)?;
    }
    let Some(root) = root.filter(|root| Some(*root) != base) else { return Ok(None) };
    check_size(tree, &draft, root)?;
    Ok(Some(draft.write(root, author)))
}

fn check_expectation(tree: &Tree, edit: &Edit) -> Result<(), WriteError> {
    let actual = tree.digest(&edit.path);
    let expected = match edit.expected {
        Expected::Any => return Ok(()),
        Expected::Absent => None,
        Expected::Digest(digest) => Some(digest),
        Expected::SameAs(revision) => {
            check_is_kept(tree, revision)?;
            tree.digest_at(revision, &edit.path)
        }
    };
    if actual == expected {
        return Ok(());
    }
    Err(WriteError::Conflict { path: edit.path.clone(), expected, actual })
}

fn check_is_kept(tree: &Tree, revision: RevisionId) -> Result<(), WriteError> {
    if tree.revision(revision).is_some() {
        return Ok(());
    }
    let id = |revision: Option<&Revision>| revision.map_or(RevisionId(0), |revision| revision.id);
    let (oldest, newest) = (id(tree.revisions().next()), id(tree.head()));
    Err(WriteError::NoSuchRevision { revision, oldest, newest })
}

fn check_rules(edit: &Edit) -> Result<(), WriteError> {
    let checked = match &edit.action {
        Action::Put(content) => check_subtree(&edit.path, content),
        Action::SetMeta(meta) => check_meta(&edit.path, meta),
        Action::Remove | Action::Reset(_) => Ok(()),
    };
    checked.map_err(|faults| WriteError::Invalid { path: edit.path.clone(), faults })
}

fn check_size(tree: &Tree, draft: &Draft<'_>, root: Digest) -> Result<(), WriteError> {
    let (size, most) = (draft.size(root), tree.config.max_nodes);
    let mut faults = Faults::default();
    faults.check(size <= most, "nodes", || format!("the tree would have {size} nodes, more than {most}"));
    faults.finish(()).map_err(|faults| WriteError::Invalid { path: TreePath::root(), faults })
}

/// The nodes of a revision in the making, on top of the tree's.
struct Draft<'a> {
    tree: &'a Tree,
    fresh: BTreeMap<Digest, (Arc<Node>, Vec<u8>)>,
}

impl Draft<'_> {
    /// The root after `edit`; `None` only while nothing was ever written.
    fn edit(&mut self, root: Option<Digest>, edit: &Edit) -> Result<Option<Digest>, WriteError> {
        let target = match &edit.action {
            Action::Put(content) => Some(self.add_subtree(content)),
            Action::SetMeta(meta) => {
                let old = root.and_then(|root| self.find(root, edit.path.segments()));
                let mut group = self.group(old);
                group.meta.clone_from(meta);
                Some(self.add(Node::Group(group)))
            }
            Action::Remove => None,
            Action::Reset(revision) => {
                check_is_kept(self.tree, *revision)?;
                self.tree.digest_at(*revision, &edit.path)
            }
        };
        match target {
            Some(digest) => Ok(Some(self.replace(root, edit.path.segments(), digest))),
            None if edit.path.depth() == 0 => Ok(root.map(|_| self.add(Node::Group(Group::default())))),
            None => Ok(root.map(|root| self.remove(root, edit.path.segments()))),
        }
    }

    fn node(&self, digest: Digest) -> &Arc<Node> {
        match self.fresh.get(&digest) {
            Some((node, _)) => node,
            None => self.tree.node(&digest).expect("every digest in the tree leads to a node"),
        }
    }

    /// The group `digest` for changing; an empty one where nothing or a service stands.
    fn group(&self, digest: Option<Digest>) -> Group {
        match digest.map(|digest| self.node(digest).as_ref()) {
            Some(Node::Group(group)) => group.clone(),
            Some(Node::Service(_)) | None => Group::default(),
        }
    }

    fn find(&self, from: Digest, segments: &[Name]) -> Option<Digest> {
        segments.iter().try_fold(from, |digest, name| match self.node(digest).as_ref() {
            Node::Group(group) => group.children.get(name).copied(),
            Node::Service(_) => None,
        })
    }

    fn add(&mut self, node: Node) -> Digest {
        let (digest, bytes) = node.encode();
        if self.tree.node(&digest).is_none() {
            self.fresh.entry(digest).or_insert_with(|| (Arc::new(node), bytes));
        }
        digest
    }

    fn add_subtree(&mut self, content: &Subtree) -> Digest {
        let node = match content {
            Subtree::Service(spec) => Node::Service(Arc::clone(spec)),
            Subtree::Group { meta, children } => {
                let children = children.iter();
                let children =
                    children.map(|(name, child)| (name.clone(), self.add_subtree(child))).collect();
                Node::Group(Group { meta: meta.clone(), children })
            }
        };
        self.add(node)
    }

    /// `at` with `target` at `segments` below it; missing groups are made.
    fn replace(&mut self, at: Option<Digest>, segments: &[Name], target: Digest) -> Digest {
        let Some((name, below)) = segments.split_first() else { return target };
        let mut group = self.group(at);
        let child = self.replace(group.children.get(name).copied(), below, target);
        group.children.insert(name.clone(), child);
        self.add(Node::Group(group))
    }

    /// `at` without what stands at `segments` below it.
    fn remove(&mut self, at: Digest, segments: &[Name]) -> Digest {
        let Node::Group(group) = self.node(at).as_ref() else { return at };
        let mut group = group.clone();
        let Some((name, below)) = segments.split_first() else { return at };
        let Some(child) = group.children.get(name).copied() else { return at };
        if below.is_empty() {
            group.children.remove(name);
        } else {
            group.children.insert(name.clone(), self.remove(child, below));
        }
        self.add(Node::Group(group))
    }

    fn size(&self, digest: Digest) -> u64 {
        if self.tree.nodes.contains(&digest) {
            return self.tree.nodes.size(&digest);
        }
        1 + self.node(digest).children().map(|child| self.size(child)).sum::<u64>()
    }

    fn write(mut self, root: Digest, author: &Author) -> Write {
        let mut new = Vec::new();
        self.take_reachable(root, &mut new);
        let parent = self.tree.head().map(|revision| revision.id);
        let save_revision = Revision {
            id: parent.unwrap_or_default().next(),
            parent,
            root,
            author: author.name.clone(),
            at: author.at,
            message: author.message.clone(),
        };
        let nodes: Vec<_> = new.iter().map(|(digest, node, _)| (*digest, Arc::clone(node))).collect();
        let forget_revisions = revisions_to_forget(self.tree);
        let forget_nodes = nodes_to_forget(self.tree, root, &nodes, &forget_revisions);
        let save_nodes = new.into_iter().map(|(digest, _, bytes)| (digest, bytes)).collect();
        Write { save_nodes, save_revision, forget_revisions, forget_nodes, nodes }
    }

    /// Moves the fresh nodes below `digest` into `new`, children first; what a later edit undid stays behind.
    fn take_reachable(&mut self, digest: Digest, new: &mut Vec<(Digest, Arc<Node>, Vec<u8>)>) {
        let Some((node, bytes)) = self.fresh.remove(&digest) else { return };
        for child in node.children() {
            self.take_reachable(child, new);
        }
        new.push((digest, node, bytes));
    }
}

/// The oldest revisions that are not pinned, as many as the new one pushes over the bound.
fn revisions_to_forget(tree: &Tree) -> Vec<RevisionId> {
    let unpinned = tree.revisions.len() - tree.pinned.len();
    let surplus = (unpinned + 1).saturating_sub(tree.config.keep_revisions.max(1));
    tree.revisions.keys().filter(|id| !tree.pinned.contains(id)).take(surplus).copied().collect()
}

/// Nodes without any reference once `forgotten` are gone and the new revision stands, parents first.
fn nodes_to_forget(
    tree: &Tree,
    root: Digest,
    new: &[(Digest, Arc<Node>)],
    forgotten: &[RevisionId],
) -> Vec<Digest> {
    let mut gained: BTreeMap<Digest, u64> = BTreeMap::from([(root, 1)]);
    for child in new.iter().flat_map(|(_, node)| node.children()) {
        *gained.entry(child).or_default() += 1;
    }
    let mut lost: BTreeMap<Digest, u64> = BTreeMap::new();
    for revision in forgotten {
        *lost.entry(tree.revisions[revision].root).or_default() += 1;
    }
    let is_free = |digest: &Digest, lost: &BTreeMap<Digest, u64>| {
        let held = tree.nodes.references(digest) + gained.get(digest).copied().unwrap_or(0);
        held == lost.get(digest).copied().unwrap_or(0)
    };
    // Nodes nobody refers to are left-overs of a store that was written by something else.
    let mut candidates: Vec<Digest> = lost.keys().copied().chain(tree.nodes.unreferenced()).collect();
    let (mut garbage, mut seen) = (Vec::new(), BTreeSet::new());
    while let Some(digest) = candidates.pop() {
        let Some(node) = tree.nodes.get(&digest) else { continue };
        if !is_free(&digest, &lost) || !seen.insert(digest) {
            continue;
        }
        garbage.push(digest);
        for child in node.children() {
            *lost.entry(child).or_default() += 1;
            candidates.push(child);
        }
    }
    garbage
}
