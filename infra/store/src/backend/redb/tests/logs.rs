//! Crashes at all the places that the log has, and logs that do not fit.

use std::fs::OpenOptions;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::{Duration, Instant};

use redb::{Database, ReadableDatabase};

use crate::backend::redb::{Embedded, OpenError, Options};
use crate::{Change, Commit, Entry, Key, Range, Revision, Store};

use super::super::tables::{FORMAT, IN_LOG, LOGGED, META};
use super::{Directory, crash_image, put};

async fn open(directory: &Directory) -> Embedded {
    Embedded::open(directory.0.path(), Options::default()).await.unwrap()
}

async fn all(store: &Embedded) -> Vec<Entry> {
    store.range(Range::prefix(Key::ALL)).await.unwrap().entries
}

/// The last record that the data file contains durably.
fn logged(directory: &Path) -> u64 {
    let copy = tempfile::tempdir().unwrap();
    std::fs::copy(directory.join("state.redb"), copy.path().join("copy")).unwrap();
    let database = Database::open(copy.path().join("copy")).unwrap();
    let meta = database.begin_read().unwrap().open_table(META).unwrap();
    meta.get(LOGGED).unwrap().map_or(0, |number| number.value())
}

fn write_at(directory: &Directory, at: u64, bytes: &[u8]) {
    let log = OpenOptions::new().write(true).open(directory.0.path().join("state.log")).unwrap();
    log.write_all_at(bytes, at).unwrap();
}

async fn refusal(directory: &Directory) -> String {
    let error = Embedded::open(directory.0.path(), Options::default()).await.map(|_| ()).unwrap_err();
    assert!(matches!(error, OpenError::Damaged { .. } | OpenError::Missing { .. }), "{error}");
    error.to_string()
}

#[tokio::test]
async fn what_only_the_log_holds_is_there_after_a_crash() {
    let directory = Directory::new();
    let store = open(&directory).await;
    let [kept, ended] = [600, 601].map(|seconds| store.lease_grant(Duration::from_secs(seconds)));
    let (kept, ended) = (kept.await.unwrap(), ended.await.unwrap());
    for n in 0..20 {
        put(&store, &format!("k/{}", n % 7), format!("value {n}")).await;
    }
    let leased = Commit::new().put_leased("kept", "x", kept.id).put_leased("ended", "x", ended.id);
    store.commit(leased.delete("k/3").delete("never")).await.unwrap();
    store.compact(Revision::new(5)).await.unwrap();
    store.lease_revoke(ended.id).await.unwrap();
    put(&store, "large", vec![b'l'; 100_000]).await;
    let (expected, revision) = (all(&store).await, store.status().await.unwrap().revision);
    let image = crash_image(directory.0.path());
    assert_eq!(logged(image.0.path()), 0, "the data file has none of it");
    for opening in 0..2 {
        let crashed = open(&image).await;
        assert_eq!(all(&crashed).await, expected, "opening {opening}");
        let status = crashed.status().await.unwrap();
        assert_eq!((status.revision, status.oldest), (revision, Revision::new(5)));
        assert_eq!(crashed.lease_keepalive(kept.id).await.unwrap(), kept.ttl);
        assert!(crashed.lease_keepalive(ended.id).await.is_err());
        let (mut then, mut now) =
            (store.watch(Key::ALL, Revision::new(5)), crashed.watch(Key::ALL, Revision::new(5)));
        for _ in 5..=revision.get() {
            assert_eq!(then.next().await, now.next().await);
        }
    }
    let crashed = open(&image).await;
    let fresh = crashed.lease_grant(Duration::from_secs(60)).await.unwrap();
    assert!(fresh.id != kept.id && fresh.id != ended.id, "no lease id is used twice");
}

#[tokio::test]
async fn a_torn_last_record_is_dropped_and_the_store_goes_on() {
    let directory = Directory::new();
    let store = open(&directory).await;
    put(&store, "a", "x").await;
    put(&store, "b", "x").await;
    put(&store, "torn", vec![b't'; 6000]).await;
    // At once: a little later the data file has it, too.
    let crash = crash_image(directory.0.path());
    for cut in [0, 1, 4, 8, 43, 44, 500, 4095, 4096, 4097, 6000, 6083] {
        let image = crash_image(crash.0.path());
        write_at(&image, 2 * 4096 + cut, &vec![0; 12_000]);
        let crashed = open(&image).await;
        let keys: Vec<Key> = all(&crashed).await.into_iter().map(|entry| entry.key).collect();
        assert_eq!(keys, ["a".into(), "b".into()], "cut at {cut}");
        assert_eq!(crashed.commit(Commit::new().put("c", "x")).await.unwrap(), Revision::new(3));
        let again = crash_image(image.0.path());
        assert_eq!(all(&open(&again).await).await.len(), 3, "cut at {cut}");
    }
}

#[tokio::test]
async fn a_flipped_byte_before_the_last_record_is_damage_and_says_where() {
    let directory = Directory::new();
    let store = open(&directory).await;
    for n in 0..5 {
        put(&store, "k", format!("value {n}")).await;
    }
    let image = crash_image(directory.0.path());
    write_at(&image, 2 * 4096 + 60, b"!");
    let expected =
        format!("{}/state.log is damaged: record 3 is bad though record 4 is good", image.0.path().display());
    assert_eq!(refusal(&image).await, expected);
}

/// Four records go to the log, the fifth finds it full.
const FOUR_RECORDS: Options = Options {
    cache_bytes: 1 << 20,
    history_batches: 100,
    history_bytes: 1 << 20,
    log_bytes: 4 * 4096,
    verify: true,
};

#[tokio::test]
async fn a_crash_between_a_checkpoint_and_the_new_beginning_of_the_log_does_nothing_twice() {
    let directory = Directory::new();
    let store = Embedded::open(directory.0.path(), FOUR_RECORDS).await.unwrap();
    for n in 0..4 {
        put(&store, "k", n.to_string()).await;
    }
    let before = crash_image(directory.0.path());
    assert_eq!(logged(before.0.path()), 0);
    put(&store, "k", "4").await;
    let after = crash_image(directory.0.path());
    assert_eq!(logged(after.0.path()), 4, "the log was full");
    let between = crash_image(directory.0.path());
    std::fs::copy(before.0.path().join("state.log"), between.0.path().join("state.log")).unwrap();
    let old_data = crash_image(before.0.path());
    std::fs::copy(after.0.path().join("state.log"), old_data.0.path().join("state.log")).unwrap();
    for (image, versions) in [(&before, 4), (&between, 4), (&after, 5)] {
        let crashed = open(image).await;
        let entry = all(&crashed).await.remove(0);
        assert_eq!((entry.version, entry.modified), (versions, Revision::new(versions)));
    }
    let sentence = refusal(&old_data).await;
    assert!(sentence.ends_with("begins with record 5, the data file needs record 1 first"), "{sentence}");
}

#[tokio::test]
async fn many_rounds_of_the_log_lose_nothing() {
    let directory = Directory::new();
    let store = Embedded::open(directory.0.path(), FOUR_RECORDS).await.unwrap();
    for n in 0..50 {
        put(&store, &format!("k/{n:02}"), vec![b'v'; 900 * (n % 9)]).await;
        if n % 5 == 0 {
            let crashed = open(&crash_image(directory.0.path())).await;
            assert_eq!(all(&crashed).await, all(&store).await, "after {n}");
        }
    }
}

#[tokio::test]
async fn an_old_data_file_with_a_log_of_a_later_opening_is_refused() {
    let directory = Directory::new();
    put(&open(&directory).await, "k", "1").await;
    let store = open(&directory).await;
    let old = crash_image(directory.0.path());
    drop(store);
    let store = open(&directory).await;
    put(&store, "k", "2").await;
    let mixed = crash_image(directory.0.path());
    std::fs::copy(old.0.path().join("state.redb"), mixed.0.path().join("state.redb")).unwrap();
    let sentence = refusal(&mixed).await;
    assert!(
        sentence.ends_with("written in opening 3 of the store, the data file in opening 2"),
        "{sentence}"
    );
}

#[tokio::test]
async fn a_log_that_is_needed_must_be_there_and_whole() {
    let directory = Directory::new();
    let store = open(&directory).await;
    put(&store, "k", "x").await;
    let image = crash_image(directory.0.path());
    let log = image.0.path().join("state.log");
    OpenOptions::new().write(true).open(&log).unwrap().set_len(4096).unwrap();
    let sentence = refusal(&image).await;
    assert!(sentence.ends_with("state.log is damaged: it has 4096 bytes of 8388608"), "{sentence}");
    std::fs::remove_file(&log).unwrap();
    let sentence = refusal(&image).await;
    assert!(sentence.contains("state.log is missing"), "{sentence}");
    drop(store);
    // After a clean end it has nothing to tell.
    std::fs::remove_file(directory.0.path().join("state.log")).unwrap();
    assert_eq!(all(&open(&directory).await).await.len(), 1);
}

#[tokio::test]
async fn a_directory_without_a_log_is_taken_over() {
    let directory = Directory::new();
    let store = open(&directory).await;
    let lease = store.lease_grant(Duration::from_secs(600)).await.unwrap();
    let last = store.commit(Commit::new().put_leased("owned", "x", lease.id).put("k", "x")).await.unwrap();
    let expected = all(&store).await;
    drop(store);
    std::fs::remove_file(directory.0.path().join("state.log")).unwrap();
    {
        let database = Database::open(directory.0.path().join("state.redb")).unwrap();
        let txn = database.begin_write().unwrap();
        let mut meta = txn.open_table(META).unwrap();
        meta.insert(FORMAT, 1).unwrap();
        meta.remove(LOGGED).unwrap();
        meta.remove(IN_LOG).unwrap();
        drop(meta);
        txn.commit().unwrap();
    }
    let store = open(&directory).await;
    assert_eq!(all(&store).await, expected);
    assert_eq!(store.lease_keepalive(lease.id).await.unwrap(), lease.ttl);
    let next = store.commit(Commit::new().put("k", "y")).await.unwrap();
    assert_eq!(next, last.next());
    let crashed = open(&crash_image(directory.0.path())).await;
    assert_eq!(all(&crashed).await, all(&store).await);
}

#[tokio::test]
async fn the_data_file_is_synced_a_moment_after_the_last_write() {
    let directory = Directory::new();
    let store = open(&directory).await;
    put(&store, "k", "x").await;
    let deadline = Instant::now() + Duration::from_secs(30);
    while logged(directory.0.path()) < 1 {
        assert!(Instant::now() < deadline, "no checkpoint came");
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_watch_and_a_list_see_only_what_is_synced() {
    let directory = Directory::new();
    let store = open(&directory).await;
    put(&store, "before", "x").await;
    let mut watch = store.watch(Key::ALL, Revision::new(2));
    store.engine.faults.fail_syncs.store(true, std::sync::atomic::Ordering::SeqCst);
    assert!(store.commit(Commit::new().put("during", "x")).await.is_err());
    assert!(!matches!(watch.next().await, Some(Change::Batch(_))), "nobody may see it");
}
