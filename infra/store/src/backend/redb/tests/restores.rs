//! Backups and back again.

use std::time::Duration;

use crate::backend::redb::{Embedded, Options, REVISION_LEAP, RestoreError, restore};
use crate::{Change, Commit, Key, Range, Revision, Store, snapshot};

use super::{Directory, put};

async fn backup(directory: &Directory) -> (Vec<u8>, Vec<crate::Entry>, Revision) {
    let store = Embedded::open(directory.0.path(), Options::default()).await.unwrap();
    let lease = store.lease_grant(Duration::from_secs(600)).await.unwrap();
    for n in 0..1500 {
        put(&store, &format!("k/{}", n % 1200), format!("value {n}")).await;
    }
    store.commit(Commit::new().put_leased("owned", "x", lease.id)).await.unwrap();
    let mut bytes = Vec::new();
    let summary = snapshot::write(&store, &mut bytes).await.unwrap();
    (bytes, store.range(Range::prefix("k/")).await.unwrap().entries, summary.revision)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restored_store_has_the_same_entries_and_only_newer_revisions() {
    let (source, target) = (Directory::new(), Directory::new());
    let (bytes, entries, revision) = backup(&source).await;
    let path = target.0.path().join("restored");
    let summary = restore(&path, &bytes[..]).unwrap();
    assert_eq!((summary.entries, summary.revision.get()), (1200, revision.get() + REVISION_LEAP));
    let store = Embedded::open(&path, Options::default()).await.unwrap();
    assert_eq!(store.range(Range::prefix(Key::ALL)).await.unwrap().entries, entries);
    let mut copy_from_before = store.watch("k/".into(), revision.next());
    assert!(matches!(copy_from_before.next().await, Some(Change::Compacted { .. })));
    let next = store.commit(Commit::new().put("k/new", "x")).await.unwrap();
    assert_eq!(next, summary.revision.next());
    drop(store);
    let again = restore(&path, &bytes[..]);
    assert!(matches!(again, Err(RestoreError::NotEmpty { .. })), "{again:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_snapshot_leaves_nothing_behind() {
    let (source, target) = (Directory::new(), Directory::new());
    let (bytes, ..) = backup(&source).await;
    let mut flipped = bytes.clone();
    flipped[bytes.len() / 2] ^= 1;
    let mut newer = bytes.clone();
    newer[11] = 2;
    for (snapshot, reason) in [
        (&flipped[..], "damaged"),
        (&bytes[..bytes.len() - 1], "ends early"),
        (&bytes[..bytes.len() / 2], "ends early"),
        (b"something else entirely", "no snapshot"),
        (b"", "no snapshot"),
        (&newer[..], "format 2"),
    ] {
        let error = restore(target.0.path(), snapshot).unwrap_err();
        let RestoreError::Snapshot(cause) = error else { panic!("{error}") };
        assert!(cause.to_string().contains(reason), "{cause}");
    }
    let left: Vec<_> = std::fs::read_dir(target.0.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(left, ["LOCK"]);
    restore(target.0.path(), &bytes[..]).unwrap();
}
