//! Three members, some of which die.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::time::timeout;

use crate::{
    Change, Commit, CommitError, Consistency, Guard, Key, Range, ReadError, Revision, Store,
    backend::etcd::Config,
};

use super::super::Etcd;
use super::proxy::Proxy;
use super::server::Server;
use crate::conformance::followers;

/// The longest anything may take on a busy machine.
const STEP: Duration = Duration::from_secs(30);

struct Ensemble(Vec<Server>);

impl Ensemble {
    fn start() -> Self {
        let servers = Server::ensemble(3);
        servers.iter().for_each(Server::start);
        Self(servers)
    }

    fn config(&self, deadline: Duration) -> Config {
        let endpoints = self.0.iter().map(Server::endpoint).collect();
        Config { request_deadline: deadline, ..Config::new(endpoints, "cloud") }
    }

    async fn open(&self, deadline: Duration) -> Arc<Etcd> {
        let store = Etcd::open(self.config(STEP)).await.unwrap();
        drop(store);
        Arc::new(Etcd::open(self.config(deadline)).await.unwrap())
    }

    async fn leader(&self, store: &Etcd) -> &Server {
        let name = store.status().await.unwrap().leader.unwrap();
        self.0.iter().find(|server| server.name() == name).unwrap()
    }
}

/// Tries until it works, as long as trying again is right.
async fn put(store: &Etcd, key: &str, value: &str) -> Revision {
    let begun = Instant::now();
    loop {
        match store.commit(Commit::new().put(key, value.to_owned())).await {
            Ok(revision) => return revision,
            Err(error) => assert!(begun.elapsed() < STEP, "{error}"),
        }
    }
}

async fn find(store: &Etcd, key: &Key) -> Option<crate::Entry> {
    let begun = Instant::now();
    loop {
        match store.get(key, Consistency::Linearizable).await {
            Ok(found) => return found.entry,
            Err(error) => assert!(begun.elapsed() < STEP, "{error}"),
        }
    }
}

/// Adds 1, `count` times; each value names who wrote it, so that a lost answer can be looked up.
async fn increment(store: Arc<Etcd>, writer: usize, count: usize) {
    let key = Key::from("sum");
    for n in 0..count {
        let mark = format!("{writer}.{n}");
        loop {
            let found = find(&store, &key).await;
            let text = found
                .as_ref()
                .map_or_else(String::new, |entry| String::from_utf8(entry.value.to_vec()).unwrap());
            let marks: Vec<&str> = text.split_whitespace().collect();
            if marks.contains(&mark.as_str()) {
                break;
            }
            let guard = found
                .map_or(Guard::Absent(key.clone()), |entry| Guard::Modified(key.clone(), entry.modified));
            let commit = Commit::new().when(guard).put(key.clone(), format!("{text} {mark}"));
            match store.commit(commit).await {
                Ok(_) => break,
                Err(
                    CommitError::Conflict { .. }
                    | CommitError::OutcomeUnknown { .. }
                    | CommitError::Unavailable(_),
                ) => {}
                Err(error) => panic!("{error}"),
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g2_increments_are_exact_while_leaders_are_killed() {
    let ensemble = Ensemble::start();
    let store = ensemble.open(Duration::from_secs(5)).await;
    let writers =
        futures_util::future::join_all((0..4).map(|writer| increment(Arc::clone(&store), writer, 40)));
    let killer = async {
        for round in 1..=2 {
            while find(&store, &"sum".into()).await.is_none_or(|entry| entry.version < round * 50) {}
            let leader = ensemble.leader(&store).await;
            leader.kill();
            put(&store, "alive", "yes").await;
            leader.start();
        }
    };
    timeout(STEP * 2, futures_util::future::join(writers, killer)).await.expect("the writers end");
    let entry = find(&store, &"sum".into()).await.unwrap();
    let text = String::from_utf8(entry.value.to_vec()).unwrap();
    let marks: Vec<&str> = text.split_whitespace().collect();
    let distinct: BTreeSet<&str> = marks.iter().copied().collect();
    assert_eq!((marks.len(), distinct.len(), entry.version), (160, 160, 160), "none lost, none twice");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_majority_writes_fail_fast_and_come_back_by_themselves() {
    let ensemble = Ensemble::start();
    let deadline = Duration::from_secs(3);
    let store = ensemble.open(deadline).await;
    let before = put(&store, "k", "before").await;
    let leadership = store.campaign("leader", Bytes::from_static(b"me")).await.unwrap();
    let killed = Instant::now();
    ensemble.0[0].kill();
    let one_down = put(&store, "k", "one down").await;
    assert!(one_down > before, "two of three write on");
    ensemble.0[1].kill();
    let begun = Instant::now();
    let write = store.commit(Commit::new().put("k", "lost")).await;
    assert!(
        matches!(write, Err(CommitError::Unavailable(_) | CommitError::OutcomeUnknown { .. })),
        "{write:?}"
    );
    assert!(
        begun.elapsed() < deadline + Duration::from_secs(2),
        "within the deadline: {:?}",
        begun.elapsed()
    );
    // Known to be away: now it is told at once.
    let mut told = Duration::MAX;
    while told > deadline / 3 {
        let begun = Instant::now();
        let write = store.commit(Commit::new().put("k", "lost")).await;
        assert!(write.is_err(), "{write:?}");
        told = begun.elapsed();
        assert!(killed.elapsed() < STEP, "a second write fails at once");
    }
    let read = store.get(&"k".into(), Consistency::Linearizable).await;
    assert!(matches!(read, Err(ReadError::Unavailable(_))), "{read:?}");
    let stale = store.get(&"k".into(), Consistency::Stale).await.unwrap();
    assert!(stale.revision >= before, "an old answer is still to be had");
    timeout(STEP, leadership.lost()).await.expect("a leader that hears nothing gives up");
    ensemble.0[0].start();
    ensemble.0[1].start();
    let after = put(&store, "k", "after").await;
    assert!(after > one_down);
    let late = store.commit(Commit::new().when(leadership.guard()).put("k", "late")).await;
    assert!(
        !matches!(late, Err(CommitError::OutcomeUnknown { .. } | CommitError::Unavailable(_))),
        "it answers again: {late:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g3_a_watch_tells_each_revision_once_across_twenty_disconnects() {
    let ensemble = Ensemble::start();
    drop(ensemble.open(STEP).await);
    let mut proxies = Vec::new();
    for server in &ensemble.0 {
        proxies.push(Proxy::to(server.client()).await);
    }
    let endpoints = proxies.iter().map(Proxy::endpoint).collect();
    let watching =
        Etcd::open(Config { request_deadline: STEP, ..Config::new(endpoints, "cloud") }).await.unwrap();
    let writing = ensemble.open(STEP).await;
    let start = put(&writing, "w/begin", "x").await;
    let mut watch = watching.watch("w/".into(), start.next());
    let (mut told, mut cuts) = (BTreeSet::new(), 0);
    let (mut wanted, mut round) = (BTreeSet::new(), 0);
    while cuts < 20 {
        round += 1;
        assert!(round < 40, "{cuts} cuts");
        // Before the writes, or they might be on their way already.
        cuts += usize::from(proxies.iter().map(Proxy::cut).sum::<usize>() > 0);
        for n in 0..5 {
            // An answer can be lost with a member: then it is looked up by its value.
            let (key, value) = (format!("w/{n}"), format!("{round}.{n}"));
            wanted.insert(value.clone());
            if find(&writing, &key.as_str().into()).await.is_none_or(|entry| entry.value != value) {
                put(&writing, &key, &value).await;
            }
        }
        if round % 7 == 6 {
            let server = &ensemble.0[round % 3];
            server.kill();
            server.start();
        }
        let mut last = told.last().map_or(start, |&(revision, _)| revision);
        let mut seen_last = false;
        while !seen_last {
            match timeout(STEP, watch.next()).await.expect("the watch goes on").unwrap() {
                Change::Batch(batch) => {
                    assert!(batch.revision > last, "{} after {last}", batch.revision);
                    last = batch.revision;
                    let crate::Event::Put(entry) = &batch.events[0] else { panic!("only puts: {batch:?}") };
                    let value = String::from_utf8(entry.value.to_vec()).unwrap();
                    seen_last = value == format!("{round}.4");
                    assert!(told.insert((batch.revision, value)), "told once");
                }
                Change::Progress(_) => {}
                Change::Compacted { .. } => panic!("nothing was compacted"),
            }
        }
    }
    // Everything etcd remembers of these keys was told, and nothing else.
    let history: BTreeSet<String> = told.iter().map(|(_, value)| value.clone()).collect();
    assert_eq!(history, wanted);
    let page = writing.range(Range::prefix("w/")).await.unwrap();
    let versions: u64 = page.entries.iter().filter(|e| e.key != "w/begin".into()).map(|e| e.version).sum();
    assert_eq!(u64::try_from(told.len()).unwrap(), versions, "each put once");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g3_readers_stay_right_across_compactions_and_new_leaders() {
    let ensemble = Ensemble::start();
    let (writing, watching) = (ensemble.open(STEP).await, ensemble.open(STEP).await);
    let trouble = async {
        for round in 0..3 {
            let leader = ensemble.leader(&writing).await;
            leader.kill();
            put(&writing, "alive", &round.to_string()).await;
            leader.start();
            put(&writing, "again", &round.to_string()).await;
        }
    };
    let readers: [&dyn Store; 2] = [writing.as_ref(), watching.as_ref()];
    let overtaken = followers::stay_right_while(writing.as_ref(), &readers, trouble).await;
    assert!(overtaken > 0, "nobody was overtaken by a compaction");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_standby_leads_soon_after_the_leader_is_killed_or_resigns() {
    let ensemble = Ensemble::start();
    let first = ensemble.open(Duration::from_secs(5)).await;
    let second = ensemble.open(Duration::from_secs(5)).await;
    let leading = first.campaign("leader", Bytes::from_static(b"first")).await.unwrap();
    let standing = second.campaign("leader", Bytes::from_static(b"second"));
    let resign = async move {
        // The standby must have seen the leader for this to be a hand-over.
        put(&first, "k", "x").await;
        let begun = Instant::now();
        // As a server that stops: its last word must not get lost in that.
        leading.resign();
        drop(first);
        begun
    };
    let (taken, resigned) = timeout(STEP, futures_util::future::join(standing, resign)).await.unwrap();
    let (taken, handed_over) = (taken.unwrap(), resigned.elapsed());
    assert!(handed_over < Duration::from_secs(2), "{handed_over:?}");
    let late = taken.guard();
    // As a kill would: nothing is resigned, and no sign of life follows.
    std::mem::forget(taken);
    drop(second);
    let third = ensemble.open(Duration::from_secs(5)).await;
    let begun = Instant::now();
    let again = timeout(STEP, third.campaign("leader", Bytes::from_static(b"third"))).await.unwrap().unwrap();
    let silent = begun.elapsed();
    assert!(silent < Duration::from_secs(6), "twice the lease: {silent:?}");
    let write = third.commit(Commit::new().when(late).put("k", "late")).await;
    assert!(matches!(write, Err(CommitError::Conflict { index: 0 })), "{write:?}");
    third.commit(Commit::new().when(again.guard()).put("k", "x")).await.unwrap();
}
