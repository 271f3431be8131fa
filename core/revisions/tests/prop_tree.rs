//! The tree against the plainest thing that could replace it: a map from path to spec, copied for each revision.
#![expect(clippy::unwrap_used, reason = "a test says by a panic what does not hold")]

use std::collections::{BTreeMap, BTreeSet};

use kogge_model::digest::Digest;
use kogge_model::id::RevisionId;
use kogge_model::name::ServiceId;
use kogge_model::service::ServiceSpec;
use kogge_model::template::Command;
use kogge_model::time::Timestamp;
use kogge_revisions::{
    Author, Config, Edit, Expected, Node, RecordChanges, Subtree, Tree, TreePath, WriteError,
};
use proptest::prelude::*;

type Model = BTreeMap<String, u32>;

#[derive(Debug, Clone)]
enum Step {
    Put(String, u32),
    Remove(String),
    Reset(String, u64),
}

fn path() -> impl Strategy<Value = String> {
    (0..2u8, 0..3u8, 0..3u8).prop_map(|(e, a, s)| format!("/e{e}/a{a}/s{s}"))
}

/// A path of any depth, so that whole apps and environments come and go.
fn any_path() -> impl Strategy<Value = String> {
    (path(), 0..4usize).prop_map(|(path, depth)| {
        let cut: Vec<&str> = path.split('/').skip(1).take(depth).collect();
        format!("/{}", cut.join("/"))
    })
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (path(), 1..4u32).prop_map(|(path, n)| Step::Put(path, n)),
        2 => any_path().prop_map(Step::Remove),
        2 => (any_path(), 0..30u64).prop_map(|(path, back)| Step::Reset(path, back)),
    ]
}

fn spec(instances: u32) -> ServiceSpec {
    let mut spec = ServiceSpec { instances, ..ServiceSpec::default() };
    spec.template.command = Some(Command::Shell("sleep 1".into()));
    spec
}

fn author() -> Author {
    Author { name: "ann".into(), at: Timestamp::from_secs(1), message: "because".into() }
}

fn is_below(path: &str, above: &str) -> bool {
    above == "/" || path == above || path.starts_with(&format!("{above}/"))
}

fn services(tree: &Tree) -> Model {
    tree.services().into_iter().map(|(id, spec)| (id.path(), spec.instances)).collect()
}

/// A store that keeps what writes say, and nothing else.
#[derive(Default)]
struct Store {
    nodes: BTreeMap<Digest, Vec<u8>>,
    revisions: BTreeMap<RevisionId, kogge_model::revision::Revision>,
    /// What changed since a follower last asked.
    touched: (BTreeSet<Digest>, BTreeSet<RevisionId>),
}

impl Store {
    fn commit(&mut self, tree: &mut Tree, edits: &[Edit]) -> bool {
        let Some(write) = tree.plan(edits, &author()).unwrap() else { return false };
        for (digest, bytes) in &write.save_nodes {
            assert!(self.nodes.insert(*digest, bytes.clone()).is_none(), "a known node is saved again");
        }
        self.touched.0.extend(write.save_nodes.iter().map(|(digest, _)| *digest));
        self.touched.0.extend(&write.forget_nodes);
        self.touched.1.insert(write.save_revision.id);
        self.touched.1.extend(&write.forget_revisions);
        self.revisions.insert(write.save_revision.id, write.save_revision.clone());
        for revision in &write.forget_revisions {
            assert!(self.revisions.remove(revision).is_some());
        }
        for digest in &write.forget_nodes {
            assert!(self.nodes.remove(digest).is_some());
        }
        tree.apply(write);
        true
    }

    fn changes(&mut self) -> RecordChanges {
        let (nodes, revisions) = std::mem::take(&mut self.touched);
        let mut changes = RecordChanges::default();
        for digest in nodes {
            match self.nodes.get(&digest) {
                Some(bytes) => changes.nodes.push((digest, bytes.clone())),
                None => changes.forgotten_nodes.push(digest),
            }
        }
        for id in revisions {
            match self.revisions.get(&id) {
                Some(revision) => changes.revisions.push(revision.clone()),
                None => changes.forgotten_revisions.push(id),
            }
        }
        changes
    }

    /// Every stored node is reachable from a stored revision, and nothing reachable is missing.
    fn check_garbage(&self, tree: &Tree) {
        let mut reachable = BTreeSet::new();
        let mut open: Vec<Digest> = self.revisions.values().map(|revision| revision.root).collect();
        while let Some(digest) = open.pop() {
            if reachable.insert(digest)
                && let Node::Group(group) = Node::decode(&self.nodes[&digest]).unwrap()
            {
                open.extend(group.children.values());
            }
        }
        assert_eq!(reachable, self.nodes.keys().copied().collect());
        assert_eq!(reachable.len(), tree.node_count());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn the_tree_is_a_map_with_history(steps in proptest::collection::vec(step(), 1..60), keep in 1..12usize) {
        let config = Config { keep_revisions: keep, ..Config::default() };
        let (mut tree, mut store, mut states) = (Tree::new(config), Store::default(), BTreeMap::new());
        let mut model = Model::new();
        for step in steps {
            let before = model.clone();
            let edit = match step {
                Step::Put(path, n) => {
                    model.insert(path.clone(), n);
                    Edit::put(path.parse().unwrap(), Subtree::service(spec(n)))
                }
                Step::Remove(path) => {
                    model.retain(|own, _| !is_below(own, &path));
                    Edit::remove(path.parse().unwrap())
                }
                Step::Reset(path, back) => {
                    let Some(head) = tree.head().map(|revision| revision.id) else { continue };
                    let id = RevisionId(head.0.saturating_sub(back % 10).max(1));
                    let edit = Edit::reset(path.parse().unwrap(), id);
                    let Some(old) = states.get(&id).filter(|_| tree.revision(id).is_some()) else {
                        let refused = tree.plan(&[edit], &author());
                        let is_unknown = matches!(refused, Err(WriteError::NoSuchRevision { .. }));
                        prop_assert!(is_unknown);
                        continue;
                    };
                    model.retain(|own, _| !is_below(own, &path));
                    let old: &Model = old;
                    model.extend(old.iter().filter(|(own, _)| is_below(own, &path)).map(|(k, v)| (k.clone(), *v)));
                    edit
                }
            };
            let old_root = tree.head().map(|revision| revision.root);
            let is_new = store.commit(&mut tree, &[edit]);
            prop_assert!(is_new || model == before, "no revision, though something changed");
            prop_assert_eq!(&services(&tree), &model);
            if let Some(head) = tree.head() {
                states.insert(head.id, model.clone());
                let changed = tree.changed_services(old_root.filter(|_| keep > 1), Some(head.root));
                let expected = if keep > 1 { changes(&before, &model) } else { changes(&Model::new(), &model) };
                let told: BTreeMap<String, Option<u32>> = changed
                    .into_iter()
                    .map(|(id, spec)| (id.path(), spec.map(|spec| spec.instances)))
                    .collect();
                prop_assert_eq!(told, expected);
            }
            prop_assert!(tree.revisions().count() <= keep);
            store.check_garbage(&tree);
        }
        let restored = Tree::restore(config, store.nodes.clone(), store.revisions.values().cloned()).unwrap();
        prop_assert_eq!(services(&restored), model);
        prop_assert!(restored.revisions().eq(tree.revisions()));
    }

    #[test]
    fn the_same_content_has_the_same_digest_in_any_order(
        services in proptest::collection::btree_map(path(), 1..4u32, 1..10),
        seed in proptest::collection::vec(any::<u32>(), 10),
    ) {
        let mut shuffled: Vec<(&String, &u32)> = services.iter().collect();
        shuffled.sort_by_key(|(path, _)| seed[path.bytes().map(usize::from).sum::<usize>() % 10]);
        let (mut one_by_one, mut at_once) = (Tree::new(Config::default()), Tree::new(Config::default()));
        let edit = |(path, n): (&String, &u32)| Edit::put(path.parse().unwrap(), Subtree::service(spec(*n)));
        for pair in &shuffled {
            Store::default().commit(&mut one_by_one, &[edit(*pair)]);
        }
        let edits: Vec<Edit> = services.iter().map(edit).collect();
        Store::default().commit(&mut at_once, &edits);
        prop_assert_eq!(one_by_one.head().unwrap().root, at_once.head().unwrap().root);
        prop_assert_eq!(at_once.revisions().count(), 1);
    }

    /// Its looks are as far apart as they come.
    #[test]
    fn a_follower_is_what_a_restored_tree_is(
        words in proptest::collection::vec(
            proptest::collection::vec((path(), proptest::option::of(1..4u32)), 1..6), 1..20),
        keep in 1..6usize,
    ) {
        let config = Config { keep_revisions: keep, ..Config::default() };
        let (mut tree, mut store, mut follower) = (Tree::new(config), Store::default(), Tree::new(config));
        for word in words {
            for (path, n) in word {
                let path = path.parse().unwrap();
                let edit = match n {
                    Some(n) => Edit::put(path, Subtree::service(spec(n))),
                    None => Edit::remove(path),
                };
                store.commit(&mut tree, &[edit]);
            }
            follower.follow(store.changes()).unwrap();
            let restored = Tree::restore(config, store.nodes.clone(), store.revisions.values().cloned());
            prop_assert_eq!(format!("{follower:?}"), format!("{:?}", restored.unwrap()));
        }
    }

    #[test]
    fn a_follower_tells_what_it_misses(n in 1..4u32) {
        let (mut tree, mut store) = (Tree::new(Config::default()), Store::default());
        store.commit(&mut tree, &[Edit::put("/e/a/s".parse().unwrap(), Subtree::service(spec(n)))]);
        let mut changes = store.changes();
        changes.nodes.pop();
        prop_assert!(Tree::new(Config::default()).follow(changes).is_err());
        let unnamed = RecordChanges { forgotten_nodes: store.nodes.keys().copied().collect(), ..RecordChanges::default() };
        prop_assert!(tree.follow(unnamed).is_err(), "what is needed is forgotten");
    }

    /// Writers read, others write meanwhile, then they write what they computed: a counter never loses a step.
    #[test]
    fn compare_and_swap_never_loses_an_update(turns in proptest::collection::vec((0..4usize, any::<bool>()), 1..80)) {
        let path: TreePath = "/prod/shop/web".parse().unwrap();
        let id: ServiceId = path.service_id().unwrap();
        let (mut tree, mut store) = (Tree::new(Config::default()), Store::default());
        let mut read: Vec<Option<(Expected, u32)>> = vec![None; 4];
        let mut accepted = 0;
        for (writer, is_read) in turns {
            if is_read {
                let expected = tree.digest(&path).map_or(Expected::Absent, Expected::Digest);
                let count = tree.service(&id).map_or(0, |spec| spec.instances);
                read[writer] = Some((expected, count));
            } else if let Some((expected, count)) = read[writer].take() {
                let edit = Edit::put(path.clone(), Subtree::service(spec(count + 1))).if_there_is(expected);
                match tree.plan(std::slice::from_ref(&edit), &author()) {
                    Ok(_) => {
                        store.commit(&mut tree, &[edit]);
                        accepted += 1;
                    }
                    Err(error) => prop_assert!(matches!(error, WriteError::Conflict { .. }), "{error}"),
                }
            }
            prop_assert_eq!(tree.service(&id).map_or(0, |spec| spec.instances), accepted);
        }
    }
}

fn changes(old: &Model, new: &Model) -> BTreeMap<String, Option<u32>> {
    let paths = old.keys().chain(new.keys());
    let changed = paths.filter(|path| old.get(*path) != new.get(*path));
    changed.map(|path| (path.clone(), new.get(path).copied())).collect()
}
