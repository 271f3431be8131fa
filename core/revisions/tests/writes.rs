//! Single writes: what they save, what refuses them, and what history says afterwards.
#![expect(clippy::unwrap_used, reason = "a test says by a panic what does not hold")]

use kogge_model::digest::Digest;
use kogge_model::id::RevisionId;
use kogge_model::revision::Revision;
use kogge_model::service::ServiceSpec;
use kogge_model::template::Command;
use kogge_model::time::Timestamp;
use kogge_revisions::{
    Action, Author, Config, Edit, Expected, Node, RestoreError, Subtree, Tree, TreePath, Write, WriteError,
};

fn spec(instances: u32) -> Subtree {
    let mut spec = ServiceSpec { instances, ..ServiceSpec::default() };
    spec.template.command = Some(Command::Shell("sleep 1".into()));
    Subtree::service(spec)
}

fn path(text: &str) -> TreePath {
    text.parse().unwrap()
}

fn author(message: &str) -> Author {
    Author { name: "ann".into(), at: Timestamp::from_secs(1), message: message.into() }
}

fn plan(tree: &Tree, edit: Edit) -> Result<Option<Write>, WriteError> {
    tree.plan(&[edit], &author("because"))
}

fn commit(tree: &mut Tree, edit: Edit) -> RevisionId {
    let write = plan(tree, edit).unwrap().expect("it changes something");
    let revision = write.save_revision.id;
    tree.apply(write);
    revision
}

fn put(tree: &mut Tree, at: &str, instances: u32) -> RevisionId {
    commit(tree, Edit::put(path(at), spec(instances)))
}

fn tree() -> Tree {
    Tree::new(Config::default())
}

#[test]
fn a_write_saves_only_what_is_new_and_says_who_when_and_why() {
    let mut tree = tree();
    put(&mut tree, "/prod/shop/web", 1);
    put(&mut tree, "/dev/shop/web", 1);
    let write = plan(&tree, Edit::put(path("/prod/shop/worker"), spec(2))).unwrap().unwrap();
    assert_eq!(write.save_nodes.len(), 4, "service, app, environment, root");
    let revision = &write.save_revision;
    assert_eq!((revision.id, revision.parent), (RevisionId(3), Some(RevisionId(2))));
    assert_eq!((revision.author.as_str(), revision.message.as_str()), ("ann", "because"));
    assert_eq!(write.save_nodes.last().unwrap().0, revision.root);
}

#[test]
fn a_write_that_changes_nothing_makes_no_revision() {
    let mut tree = tree();
    put(&mut tree, "/prod/shop/web", 1);
    for edit in [
        Edit::put(path("/prod/shop/web"), spec(1)),
        Edit::remove(path("/prod/shop/worker")),
        Edit::remove(path("/dev")),
        Edit::reset(path("/"), RevisionId(1)),
    ] {
        assert_eq!(plan(&tree, edit), Ok(None));
    }
}

#[test]
fn a_conflict_names_path_expected_and_actual() {
    let mut tree = tree();
    put(&mut tree, "/prod/shop/web", 1);
    let old = tree.digest(&path("/prod/shop/web")).unwrap();
    put(&mut tree, "/prod/shop/web", 2);
    let new = tree.digest(&path("/prod/shop/web")).unwrap();
    let edit = Edit::put(path("/prod/shop/web"), spec(3));
    for (expected, told) in [
        (Expected::Digest(old), format!("sha256:{}", old.short())),
        (Expected::SameAs(RevisionId(1)), format!("sha256:{}", old.short())),
        (Expected::Absent, "nothing".into()),
    ] {
        let error = plan(&tree, edit.clone().if_there_is(expected)).unwrap_err();
        let text = format!("conflict at /prod/shop/web: expected {told}, found sha256:{}", new.short());
        assert_eq!(error.to_string(), text);
    }
    for expected in [Expected::Digest(new), Expected::SameAs(RevisionId(2)), Expected::Any] {
        assert!(plan(&tree, edit.clone().if_there_is(expected)).unwrap().is_some());
    }
}

#[test]
fn several_edits_are_one_revision_or_none() {
    let mut tree = tree();
    put(&mut tree, "/prod/shop/web", 1);
    let good = Edit::put(path("/prod/shop/worker"), spec(1));
    let stale = Edit::remove(path("/prod/shop/web")).if_there_is(Expected::Absent);
    assert!(tree.plan(&[good.clone(), stale], &author("")).is_err());
    let write = tree.plan(&[good, Edit::remove(path("/prod/shop/web"))], &author("")).unwrap().unwrap();
    tree.apply(write);
    let services: Vec<String> = tree.services().into_keys().map(|id| id.to_string()).collect();
    assert_eq!((services, tree.revisions().count()), (vec!["shop/worker".to_owned()], 2));
}

#[test]
fn rules_of_the_tree_and_of_specs_are_told_with_their_paths() {
    let mut tree = tree();
    let app = |service: Subtree| Subtree::Group {
        meta: [].into(),
        children: [("web".parse().unwrap(), service)].into(),
    };
    for (at, content, told) in [
        ("/prod/shop", spec(1), "kind: a service stands at /ENVIRONMENT/APP/SERVICE, not at /prod/shop"),
        (
            "/prod/shop/web",
            Subtree::empty_group(),
            "kind: a group stands at /ENVIRONMENT or /ENVIRONMENT/APP, not at /prod/shop/web",
        ),
        ("/prod/shop", app(spec(20_000)), "web/instances: 20000 is more than 10000"),
        (
            "/prod",
            app(app(Subtree::service(ServiceSpec::default()))),
            "web/web/template: needs an image or a command",
        ),
    ] {
        let error = plan(&tree, Edit::put(path(at), content)).unwrap_err().to_string();
        assert_eq!(error, format!("invalid content for {at}: {told}"));
    }
    put(&mut tree, "/prod/shop/web", 1);
    tree = Tree::restore(Config { max_nodes: 4, ..Config::default() }, stored(&tree).0, stored(&tree).1)
        .unwrap();
    let error = plan(&tree, Edit::put(path("/prod/shop/worker"), spec(1))).unwrap_err().to_string();
    assert_eq!(error, "invalid content for /: nodes: the tree would have 5 nodes, more than 4");
}

#[test]
fn notes_of_a_group_change_without_touching_its_children() {
    let mut tree = tree();
    put(&mut tree, "/prod/shop/web", 1);
    let old = tree.head().unwrap().root;
    let meta = [("owner".to_owned(), "ann".to_owned())].into();
    commit(
        &mut tree,
        Edit { path: path("/prod/shop"), expected: Expected::Any, action: Action::SetMeta(meta) },
    );
    let Node::Group(group) = tree.get(&path("/prod/shop")).unwrap().as_ref() else { panic!("a group") };
    assert_eq!((group.meta["owner"].as_str(), group.children.len()), ("ann", 1));
    let differences = tree.diff(Some(old), Some(tree.head().unwrap().root));
    let paths: Vec<String> = differences.iter().map(|difference| difference.path().to_string()).collect();
    assert_eq!(paths, ["/prod/shop"]);
}

#[test]
fn history_tells_the_revisions_that_touched_a_path() {
    let mut tree = tree();
    put(&mut tree, "/prod/shop/web", 1);
    put(&mut tree, "/dev/shop/web", 1);
    put(&mut tree, "/prod/shop/web", 2);
    commit(&mut tree, Edit::remove(path("/prod")));
    let told = |at: &str, limit| -> Vec<(u64, bool)> {
        let history = tree.history(&path(at), limit);
        history.iter().map(|version| (version.revision.id.0, version.digest.is_some())).collect()
    };
    assert_eq!(told("/prod/shop/web", 10), [(4, false), (3, true), (1, true)]);
    assert_eq!(told("/dev", 10), [(2, true)]);
    assert_eq!(told("/", 2), [(4, true), (3, true)]);
}

#[test]
fn a_reset_brings_one_subtree_back_as_a_new_revision() {
    let mut tree = tree();
    put(&mut tree, "/prod/shop/web", 1);
    put(&mut tree, "/dev/shop/web", 1);
    put(&mut tree, "/prod/shop/web", 2);
    let write = plan(&tree, Edit::reset(path("/prod"), RevisionId(1))).unwrap().unwrap();
    assert_eq!(write.save_nodes.len(), 0, "the root is the one of revision 2 again");
    let revision = write.save_revision.id;
    tree.apply(write);
    assert_eq!(tree.digest_at(revision, &path("/prod")), tree.digest_at(RevisionId(1), &path("/prod")));
    assert!(tree.digest(&path("/dev/shop/web")).is_some());
    let error = plan(&tree, Edit::reset(path("/prod"), RevisionId(9))).unwrap_err().to_string();
    assert_eq!(error, "revision 9 is not kept: the oldest is 1, the newest 4");
}

#[test]
fn a_pinned_revision_outlives_the_bound_of_history() {
    let mut tree = Tree::new(Config { keep_revisions: 2, ..Config::default() });
    put(&mut tree, "/prod/shop/web", 1);
    assert!(tree.pin(RevisionId(1)) && !tree.pin(RevisionId(7)));
    for n in 2..6 {
        put(&mut tree, "/prod/shop/web", n);
    }
    let kept = |tree: &Tree| tree.revisions().map(|revision| revision.id.0).collect::<Vec<_>>();
    assert_eq!(kept(&tree), [1, 4, 5]);
    assert!(tree.digest_at(RevisionId(1), &path("/prod/shop/web")).is_some());
    tree.unpin(RevisionId(1));
    put(&mut tree, "/prod/shop/web", 6);
    assert_eq!((kept(&tree), tree.node_count()), (vec![5, 6], 8));
}

/// What a store would hold.
fn stored(tree: &Tree) -> (Vec<(Digest, Vec<u8>)>, Vec<Revision>) {
    let mut nodes = Vec::new();
    let mut open: Vec<_> = tree.revisions().map(|revision| revision.root).collect();
    while let Some(digest) = open.pop() {
        let node = tree.node(&digest).unwrap();
        nodes.push(node.encode());
        if let Node::Group(group) = node.as_ref() {
            open.extend(group.children.values());
        }
    }
    (nodes, tree.revisions().cloned().collect())
}

#[test]
fn damaged_missing_and_foreign_records_are_told_not_guessed() {
    let mut tree = tree();
    put(&mut tree, "/prod/shop/web", 1);
    let (nodes, revisions) = stored(&tree);
    let restore = |nodes| Tree::restore(Config::default(), nodes, revisions.clone());

    let mut damaged = nodes.clone();
    damaged[0].1[0] ^= 1;
    assert!(matches!(restore(damaged), Err(RestoreError::Damaged { .. })));
    assert!(matches!(restore(nodes[1..].to_vec()), Err(RestoreError::MissingNode { .. })));
    assert!(matches!(restore(nodes[..3].to_vec()), Err(RestoreError::MissingNode { .. })));

    let stray = Node::Group(kogge_revisions::Group {
        meta: [("stray".to_owned(), String::new())].into(),
        children: [].into(),
    });
    let (digest, bytes) = stray.encode();
    let mut with_stray = nodes.clone();
    with_stray.push((digest, bytes));
    let tree = restore(with_stray).unwrap();
    let write = plan(&tree, Edit::put(path("/prod/shop/web"), spec(2))).unwrap().unwrap();
    assert_eq!(write.forget_nodes, [digest]);
}
