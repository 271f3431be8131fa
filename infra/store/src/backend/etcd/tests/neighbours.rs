//! What one etcd shared by several clouds, and a slow network, ask of the engine.

use std::time::{Duration, Instant};

use crate::{Change, Commit, Consistency, Event, Key, Range, Revision, Store};

use super::super::{Config, Etcd};
use super::server::Server;

async fn next_batch(watch: &mut crate::Watch) -> crate::Batch {
    loop {
        match tokio::time::timeout(Duration::from_secs(30), watch.next()).await.expect("told in time") {
            Some(Change::Batch(batch)) => return batch,
            Some(Change::Progress(_)) => {}
            other => panic!("unexpected {other:?}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clouds_in_one_etcd_do_not_see_each_other() {
    let server = Server::new();
    server.start();
    let open = async |prefix: &str| {
        Etcd::open(Config { prefix: prefix.to_owned(), ..server.config() }).await.unwrap()
    };
    let (one, two, below) = (open("one").await, open("on").await, open("one/below").await);
    let start = one.commit(Commit::new().put("k", "of one")).await.unwrap();
    let mut watch = one.watch(Key::ALL, start.next());
    for (n, store) in [&two, &below].into_iter().enumerate() {
        assert_eq!(store.get(&"k".into(), Consistency::Linearizable).await.unwrap().entry, None);
        let revision = store.commit(Commit::new().put("k", "theirs").put("e/k", "x")).await.unwrap();
        assert_eq!(revision.get(), start.get() + 1 + u64::try_from(n).unwrap(), "one counter for all");
        assert_eq!(store.range(Range::prefix(Key::ALL)).await.unwrap().entries.len(), 2);
        assert_eq!(store.status().await.unwrap().keys, 2);
    }
    let lease = two.lease_grant(Duration::from_secs(60)).await.unwrap();
    let theirs = two.commit(Commit::new().delete("k").put_leased("l", "x", lease.id)).await.unwrap();
    let revision = one.commit(Commit::new().put("k", "again")).await.unwrap();
    assert_eq!(revision, theirs.next());
    let batch = next_batch(&mut watch).await;
    assert_eq!((batch.revision, batch.events.len()), (revision, 1), "what others did is not told");
    // Both can lead at once.
    let _leader = one.campaign("leader", bytes::Bytes::new()).await.unwrap();
    let _other = two.campaign("leader", bytes::Bytes::new()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_batches_come_whole_though_etcd_sends_them_in_fragments() {
    let server = Server::new();
    server.start();
    let store = Etcd::open(server.config()).await.unwrap();
    let start = store.commit(Commit::new().put("begin", "x")).await.unwrap();
    let value = |n: u8| vec![n; 400_000];
    let mut revisions = Vec::new();
    for n in 0..12 {
        let commit = Commit::new().put("b/1", value(n)).put("small", "x").put("b/2", value(n));
        revisions.push(store.commit(commit).await.unwrap());
    }
    let mut watch = store.watch("b/".into(), start.next());
    for (n, revision) in (0..12).zip(revisions) {
        let batch = next_batch(&mut watch).await;
        assert_eq!(batch.revision, revision);
        let values: Vec<bool> = batch
            .events
            .iter()
            .map(|event| matches!(event, Event::Put(entry) if entry.value == value(n)))
            .collect();
        assert_eq!(values, [true, true], "batch {n}");
    }
    let page = store.range(Range::prefix("b/")).await.unwrap();
    assert_eq!(page.entries.len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_leads_lets_etcd_forget() {
    let server = Server::new();
    server.start();
    let config = Config { history: Duration::from_millis(100), ..server.config() };
    let (one, two) = (Etcd::open(config.clone()).await.unwrap(), Etcd::open(config).await.unwrap());
    let oldest = async || two.status().await.unwrap().oldest;
    let first = two.commit(Commit::new().put("k", "0")).await.unwrap();
    assert!(oldest().await <= first, "nobody leads, nothing is forgotten");
    let leadership = one.campaign("lead", "one".into()).await.unwrap();
    for n in 0..3 {
        let written = two.commit(Commit::new().put("k", n.to_string())).await.unwrap();
        let deadline = Instant::now() + Duration::from_secs(30);
        while oldest().await < written {
            assert!(Instant::now() < deadline, "{written} is remembered for ever");
        }
    }
    assert_eq!(two.get(&"k".into(), Consistency::Linearizable).await.unwrap().entry.unwrap().value, "2");
    leadership.resign();
}

/// The span is over long after the test.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn etcd_forgets_sooner_when_much_is_written() {
    let server = Server::new();
    server.start();
    let config = Config { history: Duration::from_secs(120), history_bytes: 4 << 20, ..server.config() };
    let store = Etcd::open(config).await.unwrap();
    let _leadership = store.campaign("lead", "one".into()).await.unwrap();
    let first = store.commit(Commit::new().put("k", "0")).await.unwrap();
    let deadline = Instant::now() + Duration::from_secs(60);
    while store.status().await.unwrap().oldest <= first {
        assert!(Instant::now() < deadline, "all is remembered");
        for _ in 0..16 {
            store.commit(Commit::new().put("k", vec![b'x'; 64 << 10])).await.unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_oldest_revision_follows_compactions_by_anybody() {
    let server = Server::new();
    server.start();
    let (one, two) = (Etcd::open(server.config()).await.unwrap(), Etcd::open(server.config()).await.unwrap());
    assert_eq!(one.status().await.unwrap().oldest, Revision::new(1));
    let mut revisions = Vec::new();
    for n in 0..10 {
        revisions.push(one.commit(Commit::new().put("k", n.to_string())).await.unwrap());
    }
    two.compact(revisions[3]).await.unwrap();
    assert_eq!(one.status().await.unwrap().oldest, revisions[3]);
    two.compact(revisions[6]).await.unwrap();
    two.compact(revisions[2]).await.unwrap();
    assert_eq!(one.status().await.unwrap().oldest, revisions[6], "an older compaction changes nothing");
    // A key deleted by the very batch that is kept is still told.
    let deleted = one.commit(Commit::new().delete("k")).await.unwrap();
    two.compact(deleted).await.unwrap();
    let mut watch = one.watch(Key::ALL, deleted);
    let batch = next_batch(&mut watch).await;
    assert!(batch.revision == deleted && matches!(batch.events[..], [Event::Delete { .. }]), "{batch:?}");
    two.compact(deleted.next().next()).await.unwrap();
    let mut watch = one.watch(Key::ALL, deleted);
    let oldest = deleted.next();
    assert_eq!(watch.next().await, Some(Change::Compacted { oldest }), "what was in it may be gone");
    assert_eq!(one.status().await.unwrap().oldest, oldest);
}
