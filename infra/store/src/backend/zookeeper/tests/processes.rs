//! Several processes on one store.

use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use crate::{Change, Commit, Consistency, Event, Key, LeaseError, Range, Revision, Store};

use super::super::Config;
use super::server::shared;
use super::{open, put};
use crate::conformance::commits::increment;

const STEP: Duration = Duration::from_secs(30);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_read_sees_what_another_process_was_told_is_written() {
    let config = shared().await.fresh();
    let (a, b) = (open(&config).await, open(&config).await);
    for n in 0..50 {
        let (writer, reader) = if n % 2 == 0 { (&a, &b) } else { (&b, &a) };
        let revision = put(writer, "k", &n.to_string()).await;
        let lookup = reader.get(&"k".into(), Consistency::Linearizable).await.unwrap();
        assert_eq!(&lookup.entry.unwrap().value[..], n.to_string().as_bytes());
        assert_eq!(lookup.revision, revision);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writers_of_three_processes_increment_to_the_exact_sum() {
    let config = shared().await.fresh();
    let stores = [open(&config).await, open(&config).await, open(&config).await];
    let key = Key::from("sum");
    let writers = stores.iter().flat_map(|store| [store, store]).map(|store| async {
        for _ in 0..25 {
            increment(store, &key).await;
        }
    });
    futures_util::future::join_all(writers).await;
    for store in &stores {
        let entry = store.get(&key, Consistency::Linearizable).await.unwrap().entry.unwrap();
        assert_eq!((&entry.value[..], entry.version), (&b"150"[..], 150));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_process_is_kept_from_writing_by_another_that_writes_all_the_time() {
    let config = shared().await.fresh();
    let (busy, other) = (open(&config).await, open(&config).await);
    let done = tokio_util::sync::CancellationToken::new();
    let load = futures_util::future::join_all((0..16).map(|writer| {
        let (busy, done) = (&busy, done.clone());
        async move {
            let mut n = 0;
            while !done.is_cancelled() {
                put(busy, &format!("busy/{writer}"), &n.to_string()).await;
                n += 1;
            }
            n
        }
    }));
    let polite = async {
        let mut worst = Duration::ZERO;
        for n in 0..30 {
            let begun = Instant::now();
            put(&other, "other", &n.to_string()).await;
            worst = worst.max(begun.elapsed());
        }
        done.cancel();
        worst
    };
    let (written, worst) = futures_util::future::join(load, polite).await;
    assert!(worst < Duration::from_secs(3), "one write took {worst:?}");
    assert!(written.iter().sum::<u64>() > 30, "the busy one goes on too");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn signs_of_life_may_come_from_another_process_and_count_for_every_janitor() {
    let ttl = Duration::from_millis(600);
    let config = shared().await.fresh();
    // The first one is the janitor: it came first.
    let (first, second) = (open(&config).await, open(&config).await);
    let lease = first.lease_grant(ttl).await.unwrap();
    let revision = first.commit(Commit::new().put_leased("k", "x", lease.id)).await.unwrap();
    let begun = Instant::now();
    while begun.elapsed() < ttl * 3 {
        assert_eq!(second.lease_keepalive(lease.id).await.unwrap(), ttl);
        tokio::time::sleep(ttl / 6).await;
    }
    drop(first);
    let begun = Instant::now();
    while begun.elapsed() < ttl * 2 {
        assert_eq!(second.lease_keepalive(lease.id).await.unwrap(), ttl);
        tokio::time::sleep(ttl / 6).await;
    }
    let mut watch = second.watch("k".into(), revision.next());
    let last = Instant::now();
    let change = loop {
        match tokio::time::timeout(STEP, watch.next()).await.expect("the lease ends in time") {
            Some(Change::Progress(_)) => {}
            other => break other,
        }
    };
    let Some(Change::Batch(batch)) = change else { panic!("unexpected {change:?}") };
    assert!(matches!(&batch.events[..], [Event::Delete { .. }]));
    assert!(last.elapsed() > ttl / 3, "after {:?}", last.elapsed());
    assert!(matches!(second.lease_keepalive(lease.id).await, Err(LeaseError::NotFound { .. })));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lease_with_more_keys_than_fit_into_a_packet_ends_in_one_batch() {
    const KEYS: usize = 2500;
    let config = shared().await.fresh();
    let (a, b) = (open(&config).await, open(&config).await);
    let lease = a.lease_grant(Duration::from_secs(3600)).await.unwrap();
    let long = "k".repeat(900);
    for first in (0..KEYS).step_by(125) {
        let commit = (first..first + 125)
            .fold(Commit::new(), |all, n| all.put_leased(format!("{long}/{n:05}"), "x", lease.id));
        a.commit(commit).await.unwrap();
    }
    let page = b.range(Range::prefix(Key::ALL)).await.unwrap();
    assert_eq!(page.entries.len(), KEYS);
    let mut watch = b.watch(Key::ALL, page.revision.next());
    b.lease_revoke(lease.id).await.unwrap();
    let Some(Change::Batch(batch)) = watch.next().await else { panic!("a batch is told") };
    assert_eq!((batch.revision, batch.events.len()), (page.revision.next(), KEYS));
    assert_eq!(a.range(Range::prefix(Key::ALL)).await.unwrap().entries, []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_largest_commit_of_the_trait_fits_into_a_packet() {
    let config = shared().await.fresh();
    let (a, b) = (open(&config).await, open(&config).await);
    // 128 operations and as many guards, together as many bytes as the trait allows.
    let guards =
        (0..128).fold(Commit::new(), |all, n| all.when(crate::Guard::Absent(format!("g{n:03}").into())));
    let value = vec![7u8; (crate::MAX_COMMIT_BYTES - 128 * 4) / 128 - 5];
    let commit = (0..128).fold(guards, |all, n| all.put(format!("k{n:04}"), value.clone()));
    assert!(commit.bytes() > crate::MAX_COMMIT_BYTES - 200, "{}", commit.bytes());
    let revision = a.commit(commit).await.unwrap();
    assert_eq!(revision, Revision::new(1));
    let entries = b.range(Range::prefix("k")).await.unwrap().entries;
    assert!(entries.len() == 128 && entries.iter().all(|entry| entry.value == value));
}

/// Stands in line behind somebody, on threads of its own that end as soon as its store is closed; tells when it was.
fn stand_and_leave(config: &Config, stands: oneshot::Sender<()>, leave: oneshot::Receiver<()>) -> Instant {
    let threads = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let closed = threads.block_on(async {
        let store = open(config).await;
        let line = store.engine.layout.election("it");
        let leaving = async {
            while store.engine.session.children(line.clone()).await.unwrap().len() < 2 {
                tokio::task::yield_now().await;
            }
            stands.send(()).unwrap();
            leave.await.unwrap();
        };
        tokio::select! {
            _ = store.campaign("it", "second".into()) => panic!("another one leads"),
            () = leaving => {}
        }
        store.close().await;
        Instant::now()
    });
    threads.shutdown_background();
    closed
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_waits_in_line_behind_a_process_that_has_closed_its_store() {
    let config = shared().await.fresh();
    let (leader, last) = (open(&config).await, open(&config).await);
    let leads = leader.campaign("it", "first".into()).await.unwrap();
    let ((standing, stands), (leave, leaves)) = (oneshot::channel(), oneshot::channel());
    let own = config.clone();
    let process = std::thread::spawn(move || stand_and_leave(&own, standing, leaves));
    stands.await.unwrap();
    let waits = async {
        let leads = last.campaign("it", "third".into()).await.unwrap();
        (leads, Instant::now())
    };
    let goes = async {
        leave.send(()).unwrap();
        let closed = tokio::task::spawn_blocking(|| process.join().unwrap()).await.unwrap();
        drop(leads);
        closed
    };
    let both = futures_util::future::join(waits, goes);
    let ((_leads, since), closed) = tokio::time::timeout(STEP, both).await.unwrap();
    assert!(since - closed < config.session / 2, "it waited for the end of a session: {:?}", since - closed);
}
