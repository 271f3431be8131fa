//! Guards and operations.

use std::sync::Arc;

use bytes::Bytes;

use crate::{Commit, CommitError, Consistency, Guard, Key, MAX_VALUE_BYTES, Range, Revision, Store};

use super::{Rig, find, list, put};

/// Adds one to a counter, however many others do.
pub(crate) async fn increment(store: &dyn Store, key: &Key) -> Revision {
    loop {
        let found = store.get(key, Consistency::Linearizable).await.unwrap().entry;
        let (guard, value) = match &found {
            None => (Guard::Absent(key.clone()), 0),
            Some(entry) => {
                let value: u64 = std::str::from_utf8(&entry.value).unwrap().parse().unwrap();
                (Guard::Modified(key.clone(), entry.modified), value)
            }
        };
        match store.commit(Commit::new().when(guard).put(key.clone(), (value + 1).to_string())).await {
            Ok(revision) => return revision,
            Err(CommitError::Conflict { index: 0 }) => {}
            Err(error) => panic!("{error}"),
        }
    }
}

pub(crate) async fn eight_writers_increment_to_the_exact_sum(rig: &impl Rig) {
    let store = rig.open().await;
    let key = Key::from("sum");
    let writers = (0..8).map(|_| {
        let (store, key) = (Arc::clone(&store), key.clone());
        async move {
            let mut seen = Vec::new();
            for _ in 0..25 {
                seen.push(increment(&*store, &key).await);
            }
            assert!(seen.is_sorted_by(|a, b| a < b), "one writer's revisions only grow");
            seen
        }
    });
    let mut all: Vec<Revision> = futures_util::future::join_all(writers).await.concat();
    all.sort_unstable();
    all.dedup();
    assert_eq!(all.len(), 200, "each commit has a revision of its own");
    let entry = find(&store, "sum").await.unwrap();
    assert_eq!((&entry.value[..], entry.version), (&b"200"[..], 200));
}

pub(crate) async fn one_failing_guard_changes_nothing(rig: &impl Rig) {
    let store = rig.open().await;
    let (first, second) = (put(&store, "there", "1").await, put(&store, "there", "2").await);
    let (there, gone) = (|| Key::from("there"), || Key::from("gone"));
    for (guard, holds) in [
        (Guard::Absent(gone()), true),
        (Guard::Absent(there()), false),
        (Guard::Present(there()), true),
        (Guard::Present(gone()), false),
        (Guard::Modified(there(), second), true),
        (Guard::Modified(there(), first), false),
        (Guard::Modified(gone(), second), false),
        (Guard::Created(there(), first), true),
        (Guard::Created(there(), second), false),
        (Guard::Created(gone(), first), false),
    ] {
        let before = store.range(Range::prefix(Key::ALL)).await.unwrap();
        let commit =
            Commit::new().when(Guard::Present(there())).when(guard.clone()).put("a", "x").put("b", "x");
        let result = store.commit(commit).await;
        if holds {
            assert_eq!(result.unwrap(), before.revision.next(), "{guard:?}");
        } else {
            assert!(matches!(result, Err(CommitError::Conflict { index: 1 })), "{guard:?}: {result:?}");
            assert_eq!(store.range(Range::prefix(Key::ALL)).await.unwrap(), before, "{guard:?}");
        }
    }
}

pub(crate) async fn numbers_of_an_entry_follow_its_life(rig: &impl Rig) {
    let store = rig.open().await;
    let numbers = async |key: &str| {
        let entry = find(&store, key).await.unwrap();
        (entry.created, entry.modified, entry.version)
    };
    let created = put(&store, "k", "1").await;
    assert_eq!(numbers("k").await, (created, created, 1));
    let changed = put(&store, "k", "1").await;
    assert!(changed > created, "the same value is a change too");
    assert_eq!(numbers("k").await, (created, changed, 2));
    let both = store.commit(Commit::new().delete("k").put("l", "x")).await.unwrap();
    assert_eq!(find(&store, "k").await, None);
    assert_eq!(numbers("l").await, (both, both, 1));
    let again = put(&store, "k", "2").await;
    assert_eq!(numbers("k").await, (again, again, 1));
    let lookup = store.get(&"k".into(), Consistency::Linearizable).await.unwrap();
    assert_eq!(lookup.revision, again, "an answer carries the store's revision");
    let stale = store.get(&"k".into(), Consistency::Stale).await.unwrap();
    assert!(stale.revision <= again);
}

pub(crate) async fn a_commit_without_effect_moves_no_revision(rig: &impl Rig) {
    let store = rig.open().await;
    let revision = put(&store, "k", "1").await;
    assert_eq!(store.commit(Commit::new()).await.unwrap(), revision);
    assert_eq!(store.commit(Commit::new().delete("absent")).await.unwrap(), revision);
    assert_eq!(store.commit(Commit::new().when(Guard::Present("k".into()))).await.unwrap(), revision);
    assert_eq!(store.status().await.unwrap().revision, revision);
    assert_eq!(put(&store, "k", "2").await, revision.next());
}

pub(crate) async fn commits_out_of_bounds_are_refused_with_the_reason(rig: &impl Rig) {
    let store = rig.open().await;
    for (commit, reason) in [
        (Commit::new().put("k", vec![0; MAX_VALUE_BYTES + 1]), "524289 bytes"),
        (Commit::new().put("", "x"), "empty"),
        (Commit::new().put("k".repeat(1025), "x"), "1025 bytes"),
        (Commit::new().put("a", "x").delete("a"), "twice"),
        (Commit::new().put("\0mine", "x"), "belong to the engine"),
        ((0..129).fold(Commit::new(), |all, n| all.put(format!("k{n}"), "x")), "129 operations"),
    ] {
        let error = store.commit(commit).await.unwrap_err();
        assert!(matches!(error, CommitError::Refused(_)) && error.to_string().contains(reason), "{error}");
    }
    let most = (0..128).fold(Commit::new(), |all, n| all.put(format!("k{n}"), "x"));
    store.commit(most).await.unwrap();
    assert_eq!(list(&store, "").await.len(), 128);
}

pub(crate) async fn the_largest_value_comes_back_as_it_went_in(rig: &impl Rig) {
    let store = rig.open().await;
    let value: Vec<u8> = (0..MAX_VALUE_BYTES).map(|n| u8::try_from(n * 7 % 251).unwrap()).collect();
    store.commit(Commit::new().put("large", value.clone()).put("empty", "")).await.unwrap();
    assert!(find(&store, "large").await.unwrap().value == value);
    assert_eq!(find(&store, "empty").await.unwrap().value, Bytes::new());
}

pub(crate) async fn odd_keys_are_kept_apart(rig: &impl Rig) {
    let store = rig.open().await;
    let longest = "k".repeat(1024);
    let mut odd: Vec<Key> =
        ["a//b", "a/b", ".x", "..", "é", "%2F", "/", "a\nb", " ", longest.as_str()].map(Key::from).to_vec();
    odd.extend([&[0xff][..], &[0xff, 0xff], &[1], b"a\xfe"].map(Key::from));
    for (n, key) in odd.iter().enumerate() {
        store.commit(Commit::new().put(key.clone(), n.to_string())).await.unwrap();
    }
    for (n, key) in odd.iter().enumerate() {
        let entry = store.get(key, Consistency::Linearizable).await.unwrap().entry.unwrap();
        assert_eq!((&entry.key, &entry.value[..]), (key, n.to_string().as_bytes()));
    }
    let listed: Vec<Key> = list(&store, "").await.into_iter().map(|entry| entry.key).collect();
    odd.sort();
    assert_eq!(listed, odd, "keys are listed in byte order");
}
