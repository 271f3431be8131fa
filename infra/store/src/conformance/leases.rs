//! Keys that vanish with their owner.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::{Change, Commit, CommitError, Event, Guard, Key, LeaseError, LeaseId, Store};

use super::{Rig, find, list, next_told, put};

const SHORT: Duration = Duration::from_millis(200);
const LONG: Duration = Duration::from_secs(3600);

pub(crate) async fn the_end_of_a_lease_deletes_its_keys_in_one_batch(rig: &impl Rig) {
    let store = rig.open().await;
    let other = store.lease_grant(LONG).await.unwrap();
    put(&store, "l/free", "x").await;
    store.commit(Commit::new().put_leased("l/other", "x", other.id)).await.unwrap();
    // Long enough for a commit on a machine that stands still now and then.
    let brief = 10 * SHORT;
    let (begun, mut commit) = (Instant::now(), Commit::new());
    let lease = store.lease_grant(brief).await.unwrap();
    assert!(lease.ttl >= brief && lease.id != other.id);
    for n in 0..100 {
        commit = commit.put_leased(format!("l/{n}"), "x", lease.id);
    }
    let revision = store.commit(commit).await.unwrap();
    assert_eq!(find(&store, "l/7").await.unwrap().lease, Some(lease.id));
    let mut watch = store.watch("l/".into(), revision.next());
    let Some(Change::Batch(batch)) = next_told(&mut watch).await else { panic!("a batch is told") };
    assert!(begun.elapsed() >= brief, "not before its time");
    assert_eq!(batch.events.len(), 100);
    assert!(batch.events.iter().all(|event| matches!(event, Event::Delete { .. })));
    let left: Vec<String> = list(&store, "l/").await.iter().map(|entry| entry.key.to_string()).collect();
    assert_eq!(left, ["l/free", "l/other"]);
    let late = store.commit(Commit::new().put("a", "x").put_leased("l/late", "x", lease.id)).await;
    assert!(matches!(late, Err(CommitError::LeaseEnded { index: 1, .. })), "{late:?}");
    assert_eq!(find(&store, "a").await, None, "nothing of that commit applied");
    assert!(matches!(store.lease_keepalive(lease.id).await, Err(LeaseError::NotFound { .. })));
    assert!(matches!(store.lease_revoke(lease.id).await, Err(LeaseError::NotFound { .. })));
}

pub(crate) async fn signs_of_life_keep_a_lease(rig: &impl Rig) {
    let store = rig.open().await;
    for _ in 0..10 {
        if outlives_ten_others(&store).await {
            return;
        }
    }
    panic!("this machine stands still for longer than the lease, time after time");
}

/// A lease that is kept while ten short ones follow each other, which together are longer than it would be without
/// a sign of life. `false` when this machine stood still so long between two signs that it has ended with right.
async fn outlives_ten_others(store: &Arc<dyn Store>) -> bool {
    let left = store.lease_grant(SHORT).await.unwrap();
    let mut sign = Instant::now();
    // An engine may raise both: what counts is what was granted.
    let kept = store.lease_grant(left.ttl * 4).await.unwrap();
    match store.commit(Commit::new().put_leased("kept", "x", kept.id)).await {
        Err(CommitError::LeaseEnded { .. }) if sign.elapsed() >= kept.ttl => return false,
        committed => assert!(committed.is_ok(), "{committed:?}"),
    }
    for n in 0..10 {
        let short = if n == 0 { left.id } else { store.lease_grant(SHORT).await.unwrap().id };
        let revision = match store.commit(Commit::new().put_leased("left", "x", short)).await {
            Err(CommitError::LeaseEnded { .. }) => continue,
            committed => committed.unwrap(),
        };
        let mut watch = store.watch("left".into(), revision.next());
        let Some(Change::Batch(batch)) = next_told(&mut watch).await else { panic!("a batch is told") };
        assert!(matches!(batch.events[0], Event::Delete { .. }));
        let next = Instant::now();
        match store.lease_keepalive(kept.id).await {
            Ok(ttl) => assert_eq!(ttl, kept.ttl),
            Err(LeaseError::NotFound { .. }) if sign.elapsed() >= kept.ttl => return false,
            Err(error) => panic!("{error} {:?} after the last sign of life", sign.elapsed()),
        }
        sign = next;
    }
    let found = find(store, "kept").await;
    assert!(found.is_some() || sign.elapsed() >= kept.ttl);
    found.is_some()
}

pub(crate) async fn a_revoked_lease_is_gone_at_once(rig: &impl Rig) {
    let store = rig.open().await;
    let lease = store.lease_grant(LONG).await.unwrap();
    store
        .commit(Commit::new().put_leased("r/a", "x", lease.id).put_leased("r/b", "x", lease.id))
        .await
        .unwrap();
    store.lease_revoke(lease.id).await.unwrap();
    assert_eq!(list(&store, "r/").await, []);
    assert!(matches!(store.lease_keepalive(lease.id).await, Err(LeaseError::NotFound { .. })));
    let unknown = LeaseId::new(u64::MAX - 1);
    assert!(
        matches!(store.lease_revoke(unknown).await, Err(LeaseError::NotFound { lease }) if lease == unknown)
    );
    for ttl in [Duration::ZERO, Duration::from_secs(90_000)] {
        assert!(matches!(store.lease_grant(ttl).await, Err(LeaseError::TtlOutOfBounds { .. })));
    }
}

pub(crate) async fn a_put_without_the_lease_frees_the_key(rig: &impl Rig) {
    let store = rig.open().await;
    let (first, second) = (store.lease_grant(LONG).await.unwrap(), store.lease_grant(LONG).await.unwrap());
    let commit = Commit::new().put_leased("f/freed", "x", first.id).put_leased("f/moved", "x", first.id);
    store.commit(commit.put_leased("f/gone", "x", first.id)).await.unwrap();
    store
        .commit(Commit::new().put("f/freed", "y").put_leased("f/moved", "y", second.id).delete("f/gone"))
        .await
        .unwrap();
    store.commit(Commit::new().when(Guard::Absent("f/gone".into())).put("f/gone", "z")).await.unwrap();
    store.lease_revoke(first.id).await.unwrap();
    let left: Vec<Key> = list(&store, "f/").await.into_iter().map(|entry| entry.key).collect();
    assert_eq!(left, ["f/freed", "f/gone", "f/moved"].map(Key::from));
    store.lease_revoke(second.id).await.unwrap();
    assert_eq!(list(&store, "f/").await.len(), 2);
}
