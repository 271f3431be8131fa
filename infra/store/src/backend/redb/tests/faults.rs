//! Disks that fill up or fail.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::backend::redb::{Embedded, Options};
use crate::{Commit, CommitError, Consistency, Key, Range, Store};

use super::{Directory, crash_image, put};

/// A small file system of its own.
struct Disk {
    mount: PathBuf,
    _parent: tempfile::TempDir,
}

fn run(program: &str, args: &[&str], path: &Path) {
    let status = Command::new(program).args(args).arg(path).status().unwrap();
    assert!(status.success(), "{program} {args:?}");
}

impl Disk {
    fn new(size: &str) -> Self {
        let parent = tempfile::tempdir().unwrap();
        let mount = parent.path().join("disk");
        std::fs::create_dir(&mount).unwrap();
        run("mount", &["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"], &mount);
        Self { mount, _parent: parent }
    }

    fn resize(&self, size: &str) {
        run("mount", &["-o", &format!("remount,size={size}")], &self.mount);
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.mount).status();
    }
}

async fn fill_up(store: &Embedded) -> usize {
    for n in 0..10_000 {
        match store.commit(Commit::new().put(format!("f/{n:05}"), vec![b'f'; 60_000])).await {
            Ok(_) => {}
            Err(CommitError::NoSpace) => return n,
            Err(error) => panic!("{error}"),
        }
    }
    panic!("the disk did not fill up")
}

#[tokio::test]
async fn a_full_disk_refuses_writes_and_goes_on_reading() {
    let disk = Disk::new("24m");
    let store = Embedded::open(&disk.mount, Options::default()).await.unwrap();
    let mut watch = store.watch("f/".into(), crate::Revision::new(1));
    let written = fill_up(&store).await;
    assert!(written > 20, "{written}");
    let entries = store.range(Range::prefix("f/")).await.unwrap().entries;
    assert_eq!(entries.len(), written, "everything acknowledged is there, nothing else");
    for n in 0..written {
        let found = store.get(&Key::from(format!("f/{n:05}")), Consistency::Linearizable).await.unwrap();
        assert!(found.entry.is_some_and(|entry| entry.value.len() == 60_000));
        assert!(watch.next().await.is_some());
    }
    for value in [vec![b'f'; 60_000], b"x".to_vec()] {
        let again = store.commit(Commit::new().put("f/more", value)).await;
        assert!(matches!(again, Err(CommitError::NoSpace)), "{again:?}");
    }
    let lease = store.lease_grant(Duration::from_secs(60)).await;
    assert!(matches!(lease, Err(crate::LeaseError::NoSpace)), "{lease:?}");
    store.commit(Commit::new().delete("f/00000")).await.expect("deletes go on");
    let image = crash_image(&disk.mount);
    let crashed = Embedded::open(image.0.path(), Options::default()).await.unwrap();
    assert_eq!(crashed.range(Range::prefix("f/")).await.unwrap().entries, entries[1..]);
    disk.resize("96m");
    put(&store, "f/more", "x").await;
    drop(store);
    let store = Embedded::open(&disk.mount, Options::default()).await.unwrap();
    assert_eq!(store.range(Range::prefix("f/")).await.unwrap().entries.len(), written);
}

#[tokio::test]
async fn a_failed_sync_ends_the_engine_for_good() {
    let directory = Directory::new();
    let store = Embedded::open(directory.0.path(), Options::default()).await.unwrap();
    put(&store, "before", "x").await;
    store.engine.faults.fail_syncs.store(true, Ordering::SeqCst);
    let lost = store.commit(Commit::new().put("during", "x")).await;
    assert!(matches!(lost, Err(CommitError::OutcomeUnknown { .. })), "{lost:?}");
    let reason = store.ended().await.to_string();
    assert!(reason.contains("could not be synced"), "{reason}");
    store.engine.faults.fail_syncs.store(false, Ordering::SeqCst);
    let later = store.commit(Commit::new().put("after", "x")).await;
    assert!(matches!(later, Err(CommitError::Unavailable(_))), "a second sync would lie: {later:?}");
    drop(store);
    let store = Embedded::open(directory.0.path(), Options::default()).await.unwrap();
    let entries = store.range(Range::prefix(Key::ALL)).await.unwrap().entries;
    assert!(entries.iter().any(|entry| entry.key == Key::from("before")));
    assert!(!entries.iter().any(|entry| entry.key == Key::from("after")));
}

#[tokio::test]
async fn everything_handed_over_is_answered_when_the_engine_ends() {
    let directory = Directory::new();
    let store = Embedded::open(directory.0.path(), Options::default()).await.unwrap();
    store.engine.faults.fail_syncs.store(true, Ordering::SeqCst);
    let commits = (0..100).map(|n| store.commit(Commit::new().put(format!("k{n}"), "x")));
    let all = tokio::time::timeout(Duration::from_secs(30), futures_util::future::join_all(commits)).await;
    for result in all.expect("all are answered") {
        let error = result.unwrap_err();
        assert!(
            matches!(error, CommitError::OutcomeUnknown { .. } | CommitError::Unavailable(_)),
            "neither success nor silence: {error}"
        );
    }
    let mut watch = store.watch(Key::ALL, crate::Revision::new(1));
    assert_eq!(watch.next().await, None, "a watch ends with the engine");
}

#[tokio::test]
async fn history_is_bounded_in_batches_and_in_bytes() {
    let directory = Directory::new();
    let options = Options { history_batches: 50, history_bytes: 100_000, ..Options::default() };
    let store = Embedded::open(directory.0.path(), options).await.unwrap();
    let kept = async || {
        let status = store.status().await.unwrap();
        status.revision.get() + 1 - status.oldest.get()
    };
    for n in 0..400 {
        put(&store, "small", n.to_string()).await;
    }
    assert!((50..=50 + 256 + 1).contains(&kept().await), "{}", kept().await);
    for _ in 0..10 {
        put(&store, "large", vec![b'x'; 30_000]).await;
    }
    assert_eq!(kept().await, 3);
}
