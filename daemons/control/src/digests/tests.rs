//! Copies over real engines, right ones and damaged ones.

mod engines;
mod etcd;
mod zookeeper;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use kogge_host::tasks::TaskGroup;
use kogge_store::backend::redb::{Embedded, Options};
use kogge_store::{Consistency, Entry, Event, Key};
use proptest::prelude::*;

use super::*;
use crate::servers;
use crate::standing::ServerRecord;

const LEASE: Duration = Duration::from_secs(60);
const DEADLINE: Duration = Duration::from_secs(30);

/// An entry whose numbers and value are all `number`.
pub(crate) fn entry(key: &str, number: u64) -> Entry {
    let revision = Revision::new(number);
    let value = number.to_string().into();
    Entry { key: key.into(), value, created: revision, modified: revision, version: number, lease: None }
}

/// A store, and two servers with a copy each.
struct Pair {
    /// The first server's way to it.
    store: Arc<dyn Store>,
    copies: [Copy; 2],
    tellers: [Teller; 2],
    lease: LeaseId,
    group: TaskGroup,
    _directory: Option<tempfile::TempDir>,
}

impl Pair {
    async fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let store: Arc<dyn Store> =
            Arc::new(Embedded::open(directory.path(), Options::default()).await.unwrap());
        Self::over([Arc::clone(&store), store], Some(directory)).await
    }

    async fn over(stores: [Arc<dyn Store>; 2], directory: Option<tempfile::TempDir>) -> Self {
        let group = TaskGroup::new("test");
        let copies = stores.each_ref().map(|store| Copy::follow(Arc::clone(store), Image::default(), &group));
        let [store, _] = stores;
        let lease = store.lease_grant(LEASE).await.unwrap().id;
        store.commit(Commit::new().put("before", "1")).await.unwrap();
        let names = ["one", "two"];
        let tellers = [0, 1].map(|at| Teller::new(copies[at].clone(), names[at].to_owned()));
        Self { store, copies, tellers, lease, group, _directory: directory }
    }

    async fn put(&self, key: &str, value: &str) {
        let revision = self.store.commit(Commit::new().put(key, value.to_owned())).await.unwrap();
        for copy in &self.copies {
            until(copy, |copy| copy.image().revision() >= revision).await;
        }
    }

    /// What server `at` knows is told and heard.
    async fn tell(&mut self, at: usize) {
        self.tellers[at].tell(self.store.as_ref(), self.lease).await.unwrap();
        let key = keys::under(keys::DIGESTS, &self.tellers[at].own);
        let found = self.store.get(&key, Consistency::Linearizable).await.unwrap();
        let told = found.entry.expect("it was told").modified;
        for copy in &self.copies {
            until(copy, |copy| copy.image().revision() >= told).await;
        }
    }

    fn mismatches(&self) -> [u64; 2] {
        [0, 1].map(|at| self.copies[at].mismatches())
    }

    fn has_equal_copies(&self) -> bool {
        let [one, two] = [0, 1].map(|at| self.copies[at].image().digest());
        one == two
    }

    async fn end(self) {
        assert_eq!(self.group.shutdown(DEADLINE).await, Vec::<String>::new());
    }
}

async fn until(copy: &Copy, is_so: impl Fn(&Copy) -> bool) {
    let mut reached = copy.reached();
    let waiting = async {
        while !is_so(copy) {
            reached.changed().await.unwrap();
        }
    };
    tokio::time::timeout(DEADLINE, waiting).await.expect("it becomes so in time");
}

/// As if an event had never come.
fn lose(copy: &Copy, key: &str) {
    let mut image = copy.image();
    let revision = image.revision();
    Arc::make_mut(&mut image).apply(revision, vec![Event::Delete { key: key.into() }]);
}

#[tokio::test]
async fn g5_a_damaged_copy_is_found_out_and_is_right_again() {
    let mut pair = Pair::new().await;
    pair.put("a", "1").await;
    lose(&pair.copies[1], "before");
    pair.put("a", "2").await;
    assert!(!pair.has_equal_copies());
    let righted = [0, 1].map(|at| pair.copies[at].righted());
    pair.tell(0).await;
    until(&pair.copies[1], |copy| copy.mismatches() == 1 && copy.image().get(&"before".into()).is_some())
        .await;
    assert!(pair.has_equal_copies());
    for value in 3..6 {
        pair.put("a", &value.to_string()).await;
        pair.tell(0).await;
        pair.tell(1).await;
    }
    assert_eq!(pair.mismatches(), [0, 1], "who was right is not read anew, nobody twice");
    assert_eq!(
        righted.map(|one| one.has_changed().unwrap()),
        [false, true],
        "a leader would have begun anew"
    );
    assert!(pair.has_equal_copies());
    pair.end().await;
}

#[tokio::test]
async fn g5_a_damaged_copy_that_speaks_first_is_found_out_by_both() {
    let mut pair = Pair::new().await;
    pair.put("a", "1").await;
    lose(&pair.copies[1], "before");
    pair.tell(1).await;
    until(&pair.copies[0], |copy| copy.mismatches() == 1 && !copy.reached().borrow().is_doubted).await;
    pair.put("a", "2").await;
    pair.tell(0).await;
    until(&pair.copies[1], |copy| copy.mismatches() == 1 && copy.image().get(&"before".into()).is_some())
        .await;
    pair.tell(0).await;
    pair.tell(1).await;
    assert_eq!(pair.mismatches(), [1, 1]);
    assert!(pair.has_equal_copies());
    pair.end().await;
}

#[tokio::test]
async fn g5_copies_that_are_right_are_never_read_anew() {
    let mut pair = Pair::new().await;
    let mut leases = Vec::new();
    for round in 0..100 {
        let lease = pair.store.lease_grant(LEASE).await.unwrap().id;
        leases.push(lease);
        let key = format!("leased/{}", round % 7);
        pair.store.commit(Commit::new().put_leased(key, "x", lease)).await.unwrap();
        pair.put(&format!("plain/{}", round % 5), &round.to_string()).await;
        if round % 3 == 0 {
            let gone = pair.store.lease_revoke(leases.remove(0)).await;
            gone.unwrap();
            pair.store.commit(Commit::new().delete(format!("plain/{}", round % 4))).await.unwrap();
        }
        pair.tell(round % 2).await;
    }
    assert_eq!(pair.mismatches(), [0, 0]);
    assert!(pair.has_equal_copies());
    pair.end().await;
}

#[tokio::test]
async fn g5_telling_is_no_news_to_tell() {
    let mut pair = Pair::new().await;
    pair.put("a", "1").await;
    for _ in 0..3 {
        pair.tell(0).await;
        pair.tell(1).await;
    }
    let told = ["digest/one", "digest/two"].map(|key| {
        let entry = pair.copies[0].image().get(&key.into()).map(Cow::into_owned);
        entry.expect("it was told").version
    });
    assert_eq!(told, [1, 1]);
    pair.end().await;
}

#[tokio::test]
async fn g5_a_digest_of_another_formula_or_form_raises_no_alarm() {
    let mut pair = Pair::new().await;
    pair.put("a", "1").await;
    let revision = pair.copies[0].image().revision();
    let digest = "0".repeat(32);
    let other = DigestRecord { format: FORMAT + 1, revision, digest };
    pair.put("digest/new", &serde_json::to_string(&other).unwrap()).await;
    pair.put("digest/newer", "another form").await;
    pair.tell(0).await;
    assert_eq!(pair.mismatches(), [0, 0]);
    let same = DigestRecord { format: FORMAT, ..other };
    pair.put("digest/wrong", &serde_json::to_string(&same).unwrap()).await;
    for copy in &pair.copies {
        until(copy, |copy| copy.mismatches() == 1).await;
    }
    pair.end().await;
}

#[tokio::test]
async fn g5_a_server_tells_its_digest_while_it_lives() {
    let pair = Pair::new().await;
    let (door, version) = (None, "1".to_owned());
    let own = ServerRecord { name: "three".to_owned(), door, api: String::new(), version };
    let living = pair.group.child("three");
    servers::announce(Arc::clone(&pair.store), own, pair.copies[0].clone(), &living);
    let [digest, presence] = ["digest/three", "server/three"].map(Key::from);
    until(&pair.copies[1], |copy| copy.image().get(&digest).is_some()).await;
    assert_eq!(living.shutdown(DEADLINE).await, Vec::<String>::new());
    let lease = pair.copies[1].image().get(&presence).and_then(|entry| entry.lease);
    pair.store.lease_revoke(lease.expect("it is leased")).await.unwrap();
    let is_gone = |copy: &Copy| [&digest, &presence].iter().all(|key| copy.image().get(key).is_none());
    until(&pair.copies[1], is_gone).await;
    assert_eq!(pair.mismatches(), [0, 0]);
    pair.end().await;
}

#[tokio::test]
async fn g5_nobody_takes_over_with_a_copy_in_doubt() {
    let pair = Pair::new().await;
    pair.put("a", "1").await;
    let copy = &pair.copies[0];
    assert!(copy.catch_up().await);
    let own = copy.image().digest();
    let mismatch =
        Mismatch { server: "two".to_owned(), revision: copy.image().revision(), own, other: String::new() };
    copy.doubt(&mismatch);
    assert!(!copy.catch_up().await);
    pair.end().await;
}

#[test]
fn g5_faults_are_what_surely_never_was() {
    let image = |revision: u64, entries: &[(&str, u64)]| {
        let mut image = Image::default();
        let events = entries.iter().map(|(key, number)| Event::Put(entry(key, *number))).collect();
        image.apply(Revision::new(revision), events);
        image
    };
    let faults = |own: &Image, truth: &Image| -> Vec<String> {
        own.faults(truth).iter().map(ToString::to_string).collect()
    };
    let truth = image(9, &[("a", 1), ("b", 5), ("c", 8)]);
    assert_eq!(faults(&image(5, &[("a", 1), ("b", 5)]), &truth), Vec::<String>::new());
    assert_eq!(faults(&image(5, &[("a", 1), ("b", 4), ("d", 2)]), &truth), ["b"]);
    assert_eq!(faults(&image(9, &[("a", 1), ("b", 5), ("d", 2)]), &truth), ["c", "d"]);
}

/// Batches of changes to a few keys: a value to put, or none to delete.
fn history() -> impl Strategy<Value = Vec<Vec<(u8, Option<u8>)>>> {
    let change = (0..6_u8, proptest::option::weighted(0.7, 0..3_u8));
    proptest::collection::vec(proptest::collection::vec(change, 1..4), 0..40)
}

proptest! {
    #[test]
    fn g5_equal_content_has_an_equal_digest_however_it_came_about(history in history(), cut in 0..40_usize) {
        let (mut followed, mut truth) = (Image::default(), BTreeMap::<Key, Entry>::new());
        let (mut read, mut seen) = (None, Vec::new());
        for (number, batch) in (1_u64..).zip(&history) {
            let revision = Revision::new(number);
            let mut events = BTreeMap::new();
            for (key, value) in batch {
                let key = Key::from(format!("k{key}"));
                let event = match value {
                    Some(value) => Event::Put(Entry { value: vec![*value].into(), key: key.clone(), ..entry("", number) }),
                    None => Event::Delete { key: key.clone() },
                };
                events.insert(key, event);
            }
            for event in events.values() {
                match event {
                    Event::Put(entry) => drop(truth.insert(entry.key.clone(), entry.clone())),
                    Event::Delete { key } => drop(truth.remove(key)),
                }
            }
            let events: Vec<Event> = events.into_values().collect();
            let listed = || {
                let mut image = Image::default();
                image.apply(revision, truth.values().rev().cloned().map(Event::Put).collect());
                image
            };
            followed.apply(revision, events.clone());
            match &mut read {
                None if seen.len() >= cut => read = Some(listed()),
                None => {}
                Some(read) => read.apply(revision, events),
            }
            let fresh = listed();
            prop_assert_eq!(followed.digest(), fresh.digest());
            if let Some(read) = &read {
                prop_assert_eq!(read.digest(), fresh.digest());
                prop_assert_eq!(read.trail().at(revision), followed.trail().at(revision));
            }
            seen.push(fresh.digest());
        }
        for (number, digest) in (1_u64..).zip(seen) {
            prop_assert_eq!(followed.trail().at(Revision::new(number)).unwrap_or_default(), digest);
        }
    }

    #[test]
    fn g5_content_that_differs_in_anything_has_another_digest(number in 1..1_000_u64, what in 0..6_u8) {
        let right = entry("key", number);
        let mut wrong = right.clone();
        match what {
            0 => wrong.key = "kez".into(),
            1 => wrong.value = format!("{number}0").into(),
            2 => wrong.created = wrong.created.next(),
            3 => wrong.modified = wrong.modified.next(),
            4 => wrong.version += 1,
            _ => wrong.lease = Some(LeaseId::new(number)),
        }
        let [right, wrong] = [right, wrong].map(|entry| {
            let mut digest = StateDigest::default();
            digest.add(&entry);
            digest
        });
        prop_assert_ne!(right, wrong);
    }
}
