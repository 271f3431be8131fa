//! What outlives the connection, and what must not.

use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::{Change, Commit, CommitError, Key, Revision, snapshot};

use super::{Rig, STEP, find, list, next_told, put};

pub(crate) async fn revisions_go_on_after_a_restart(rig: &impl Rig) {
    let (mut last, mut store) = (Revision::ZERO, rig.open().await);
    for n in 0..3 {
        store = if n > 0 { rig.restart(store).await } else { store };
        assert!(store.status().await.unwrap().revision >= last, "no revision is forgotten");
        let revision = put(&store, &format!("k{n}"), "x").await;
        assert!(revision > last, "no revision is used twice");
        last = store.commit(Commit::new().delete(format!("k{n}")).put(format!("l{n}"), "x")).await.unwrap();
        assert_eq!(list(&store, "l").await.len(), n + 1);
    }
}

pub(crate) async fn a_watch_goes_on_after_a_restart_or_is_told_to_list_again(rig: &impl Rig) {
    let store = rig.open().await;
    let start = put(&store, "k", "0").await;
    let revisions = [put(&store, "k", "1").await, put(&store, "k", "2").await];
    let store = rig.restart(store).await;
    let mut watch = store.watch(Key::ALL, start.next());
    for revision in revisions {
        match next_told(&mut watch).await {
            Some(Change::Batch(batch)) => assert_eq!(batch.revision, revision),
            Some(Change::Compacted { oldest }) => return assert!(oldest > revision),
            other => panic!("unexpected {other:?}"),
        }
    }
}

pub(crate) async fn leases_outlive_a_restart_and_then_end(rig: &impl Rig) {
    let ttl = Duration::from_secs(2);
    let store = rig.open().await;
    let lease = store.lease_grant(ttl).await.unwrap();
    let long = store.lease_grant(ttl * 1000).await.unwrap();
    store
        .commit(Commit::new().put_leased("short", "x", lease.id).put_leased("long", "x", long.id))
        .await
        .unwrap();
    let begun = Instant::now();
    let store = rig.restart(store).await;
    let watched = store.status().await.unwrap().revision;
    if find(&store, "short").await.is_some() {
        let mut watch = store.watch("short".into(), watched.next());
        assert!(matches!(next_told(&mut watch).await, Some(Change::Batch(_))));
    }
    assert!(begun.elapsed() <= STEP);
    assert_eq!(find(&store, "short").await, None);
    assert!(find(&store, "long").await.is_some());
    assert_eq!(store.lease_keepalive(long.id).await.unwrap(), long.ttl);
    let fresh = store.lease_grant(ttl).await.unwrap();
    assert!(fresh.id != lease.id && fresh.id != long.id, "no lease id is used twice");
}

pub(crate) async fn no_leader_survives_a_restart_of_the_only_process(rig: &impl Rig) {
    let store = rig.open().await;
    let leadership = store.campaign("only", Bytes::from_static(b"before")).await.unwrap();
    let (late, fence) = (leadership.guard(), leadership.fence());
    // As a kill would: nothing is resigned.
    std::mem::forget(leadership);
    let store = rig.restart(store).await;
    let again = tokio::time::timeout(STEP, store.campaign("only", Bytes::from_static(b"after"))).await;
    let leadership = again.expect("elected in time").unwrap();
    assert!(leadership.fence() > fence);
    let write = store.commit(Commit::new().when(late).put("k", "too late")).await;
    assert!(matches!(write, Err(CommitError::Conflict { .. })), "{write:?}");
}

pub(crate) async fn a_snapshot_holds_everything_without_an_owner(rig: &impl Rig) {
    let store = rig.open().await;
    let lease = store.lease_grant(Duration::from_secs(3600)).await.unwrap();
    for n in 0..600 {
        put(&store, &format!("s/{n:03}"), &n.to_string()).await;
    }
    store.commit(Commit::new().put_leased("owned", "x", lease.id).put("s/000", "again")).await.unwrap();
    let mut bytes = Vec::new();
    let summary = snapshot::write(&*store, &mut bytes).await.unwrap();
    assert_eq!((summary.entries, summary.revision), (600, store.status().await.unwrap().revision));
    let mut reader = snapshot::Reader::new(&bytes[..]).unwrap();
    assert_eq!(reader.revision(), summary.revision);
    let mut entries = Vec::new();
    while let Some(entry) = reader.next_entry().unwrap() {
        entries.push(entry);
    }
    assert_eq!(entries, list(&store, "s/").await);
}
