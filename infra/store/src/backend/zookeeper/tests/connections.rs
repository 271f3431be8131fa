//! Connections that break, sessions that end.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::{Batch, Change, Commit, CommitError, Consistency, Guard, Key, Range, Revision, Store};

use super::proxy::Proxy;
use super::server::shared;
use super::{Config, Options, ZooKeeper, open, put};
use crate::conformance::commits::increment;

const STEP: Duration = Duration::from_secs(30);
const CUTS: u64 = 20;

async fn next_batch(watch: &mut crate::Watch) -> Batch {
    loop {
        match tokio::time::timeout(STEP, watch.next()).await.expect("the watch tells something in time") {
            Some(Change::Batch(batch)) => return batch,
            Some(Change::Progress(_)) => {}
            other => panic!("unexpected {other:?}"),
        }
    }
}

/// A session as short as servers of these tests allow.
fn short(config: &Config) -> Config {
    Config { session: Duration::from_secs(1), ..config.clone() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_watch_sees_each_revision_once_while_its_connection_is_cut() {
    let server = shared().await;
    let config = server.fresh();
    let proxy = Proxy::start(server.port).await;
    let (writer, reader) = (open(&config).await, open(&proxy.before(&config)).await);
    let start = put(&writer, "w/start", "x").await;
    let mut watch = reader.watch("w/".into(), start.next());
    let mut seen = start;
    for cut in 0..CUTS {
        for n in 0..10 {
            put(&writer, &format!("w/{n}"), &cut.to_string()).await;
        }
        proxy.cut();
        for n in 0..10 {
            put(&writer, &format!("w/{n}"), &format!("{cut} again")).await;
        }
        while seen.get() < start.get() + (cut + 1) * 20 {
            let batch = next_batch(&mut watch).await;
            assert_eq!(batch.revision, seen.next(), "no gap, no repeat");
            seen = batch.revision;
        }
    }
    let (ours, truth) = (reader.range(Range::prefix("w/")).await, writer.range(Range::prefix("w/")).await);
    assert_eq!(ours.unwrap(), truth.unwrap());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lost_answers_are_cleared_up_so_that_each_increment_counts_once() {
    const EACH: u64 = 100;
    let server = shared().await;
    let config = server.fresh();
    let proxies = [Proxy::start(server.port).await, Proxy::start(server.port).await];
    let stores = [open(&proxies[0].before(&config)).await, open(&proxies[1].before(&config)).await];
    let key = Key::from("sum");
    let writers = futures_util::future::join_all(stores.iter().map(|store| async {
        for _ in 0..EACH {
            increment(store, &key).await;
        }
    }));
    let cutter = async {
        let mut watch = stores[0].watch(Key::ALL, Revision::new(1));
        for n in 0..2 * EACH {
            let batch = next_batch(&mut watch).await;
            assert_eq!(batch.revision, Revision::new(n + 1));
            if n % 10 == 5 {
                proxies[usize::from(n % 20 == 5)].cut();
            }
        }
    };
    futures_util::future::join(writers, cutter).await;
    let entry = stores[0].get(&key, Consistency::Linearizable).await.unwrap().entry.unwrap();
    assert_eq!((&entry.value[..], entry.version), (&b"200"[..], 2 * EACH));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_whose_session_ended_stops_before_the_next_one_leads_and_its_late_write_is_refused() {
    let server = shared().await;
    let config = short(&server.fresh());
    let proxy = Proxy::start(server.port).await;
    let (old, new) = (open(&proxy.before(&config)).await, open(&config).await);
    let first = old.campaign("scheduler", Bytes::from_static(b"first")).await.unwrap();
    old.commit(Commit::new().when(first.guard()).put("order", "of the first")).await.unwrap();
    let second = new.campaign("scheduler", Bytes::from_static(b"second"));
    proxy.silence();
    let begun = Instant::now();
    let lost = async {
        first.lost().await;
        Instant::now()
    };
    let won = async {
        let second = tokio::time::timeout(STEP, second).await.expect("elected in time").unwrap();
        (second, Instant::now())
    };
    let (lost, (second, won)) = futures_util::future::join(lost, won).await;
    assert!(lost < won, "the old leader stopped {:?} after the new one began", lost - won);
    assert!(won - begun < Duration::from_secs(5), "took {:?}", won - begun);
    assert!(second.fence() > first.fence());
    new.commit(Commit::new().when(second.guard()).put("order", "of the second")).await.unwrap();
    proxy.speak();
    let late = resumed(&old, Commit::new().when(first.guard()).put("order", "too late")).await;
    assert!(matches!(late, Err(CommitError::Conflict { index: 0 })), "{late:?}");
    let lookup = old.get(&"order".into(), Consistency::Linearizable).await.unwrap();
    assert_eq!(&lookup.entry.unwrap().value[..], b"of the second");
    drop((first, second));
    let again = tokio::time::timeout(STEP, old.campaign("scheduler", Bytes::new())).await;
    again.expect("who lost its session can lead again").unwrap();
}

/// Commits as soon as the engine is back.
async fn resumed(store: &ZooKeeper, commit: Commit) -> Result<Revision, CommitError> {
    let begun = Instant::now();
    loop {
        match store.commit(commit.clone()).await {
            Err(CommitError::Unavailable(why)) => assert!(begun.elapsed() < STEP, "{why}"),
            outcome => return outcome,
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_was_alone_does_not_lead_in_the_eyes_of_guards_after_its_session() {
    let server = shared().await;
    let config = short(&server.fresh());
    let proxy = Proxy::start(server.port).await;
    let (leader, other) = (open(&proxy.before(&config)).await, open(&config).await);
    let leadership = leader.campaign("only", Bytes::from_static(b"me")).await.unwrap();
    let guard = leadership.guard();
    // Anybody may write in the name of the leader, and check whether there is one, as long as it lives.
    other.commit(Commit::new().when(guard.clone()).put("k", "1")).await.unwrap();
    other.commit(Commit::new().when(guard.clone())).await.unwrap();
    proxy.silence();
    let begun = Instant::now();
    loop {
        match other.commit(Commit::new().when(guard.clone())).await {
            Ok(_) => assert!(begun.elapsed() < STEP, "it still leads"),
            Err(error) => {
                assert!(matches!(error, CommitError::Conflict { index: 0 }), "{error}");
                break;
            }
        }
    }
    assert!(leadership_is_lost(&leadership).await);
    let record = Range::prefix(leadership.key().clone());
    let begun = Instant::now();
    while !other.range(record.clone()).await.unwrap().entries.is_empty() {
        assert!(begun.elapsed() < STEP, "the record of a leader that is gone is removed");
    }
}

async fn leadership_is_lost(leadership: &crate::Leadership) -> bool {
    tokio::time::timeout(Duration::ZERO, leadership.lost()).await.is_ok()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_the_ensemble_is_silent_writes_fail_fast_and_stale_reads_go_on() {
    let server = shared().await;
    let config = short(&server.fresh());
    let proxy = Proxy::start(server.port).await;
    let store = open(&proxy.before(&config)).await;
    put(&store, "k", "1").await;
    proxy.silence();
    let begun = Instant::now();
    let first = store.commit(Commit::new().put("k", "2")).await;
    // Whether it was still sent is a matter of microseconds.
    assert!(
        matches!(first, Err(CommitError::OutcomeUnknown { .. } | CommitError::Unavailable(_))),
        "{first:?}"
    );
    assert!(begun.elapsed() < Duration::from_secs(15), "took {:?}", begun.elapsed());
    let begun = Instant::now();
    let second = store.commit(Commit::new().put("k", "3")).await;
    assert!(matches!(second, Err(CommitError::Unavailable(_))), "{second:?}");
    store.get(&"k".into(), Consistency::Linearizable).await.unwrap_err();
    assert!(begun.elapsed() < Duration::from_millis(200), "took {:?}", begun.elapsed());
    let stale = store.get(&"k".into(), Consistency::Stale).await.unwrap();
    assert_eq!(&stale.entry.unwrap().value[..], b"1");
    proxy.speak();
    resumed(&store, Commit::new().put("k", "4")).await.unwrap();
    let lookup = store.get(&"k".into(), Consistency::Linearizable).await.unwrap();
    assert_eq!(&lookup.entry.unwrap().value[..], b"4");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_that_was_away_while_the_log_was_shortened_lists_again_and_is_right() {
    let server = shared().await;
    let config = server.fresh();
    let proxy = Proxy::start(server.port).await;
    let options = Options { log_records: 20, ..Options::default() };
    let writer = ZooKeeper::open(&config, options).await.unwrap();
    let reader = ZooKeeper::open(&proxy.before(&config), Options::default()).await.unwrap();
    let start = put(&writer, "k/0", "x").await;
    let mut watch = reader.watch("k/".into(), start.next());
    proxy.silence();
    proxy.cut();
    let lease = writer.lease_grant(Duration::from_secs(3600)).await.unwrap();
    for n in 1..200 {
        put(&writer, &format!("k/{}", n % 30), &n.to_string()).await;
    }
    writer.commit(Commit::new().delete("k/7").put_leased("k/owned", "x", lease.id)).await.unwrap();
    let mut head = writer.engine.head.subscribe();
    tokio::time::timeout(STEP, head.wait_for(|head| head.first > 40))
        .await
        .expect("shortened in time")
        .unwrap();
    proxy.speak();
    let change = loop {
        match tokio::time::timeout(STEP, watch.next()).await.expect("told in time") {
            Some(Change::Progress(_)) => {}
            other => break other,
        }
    };
    assert!(matches!(change, Some(Change::Compacted { oldest }) if oldest > start), "{change:?}");
    let late = open(&config).await;
    let truth = writer.range(Range::prefix(Key::ALL)).await.unwrap();
    for store in [&reader, &late] {
        assert_eq!(store.range(Range::prefix(Key::ALL)).await.unwrap(), truth);
    }
    let mut watch = reader.watch("k/".into(), truth.revision.next());
    late.lease_revoke(lease.id).await.unwrap();
    let batch = next_batch(&mut watch).await;
    assert_eq!((batch.revision, batch.events.len()), (truth.revision.next(), 1));
    let nodes = reader.engine.session.children(reader.engine.layout.snapshots()).await.unwrap();
    assert!(nodes.len() <= 2, "old snapshots are removed: {nodes:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dropping_the_store_ends_its_session_at_once() {
    let config = shared().await.fresh();
    let (first, second) = (open(&config).await, open(&config).await);
    let leadership = first.campaign("only", Bytes::new()).await.unwrap();
    let next = second.campaign("only", Bytes::new());
    let begun = Instant::now();
    std::mem::forget(leadership);
    drop(first);
    let next = tokio::time::timeout(STEP, next).await.expect("elected in time").unwrap();
    assert!(begun.elapsed() < Duration::from_secs(2), "took {:?}", begun.elapsed());
    second
        .commit(Commit::new().when(next.guard()).when(Guard::Absent("k".into())).put("k", "x"))
        .await
        .unwrap();
    let _ = Arc::clone(&second.engine);
}
