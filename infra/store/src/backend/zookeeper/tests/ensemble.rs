//! Three members, some of which die.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::{Change, Commit, CommitError, Consistency, Guard, Key, Range, Revision, Store};

use super::server::{Server, ensemble, fresh_path};
use super::{Config, Options, ZooKeeper, open, put};
use crate::conformance::followers;

/// How long the ensemble may take to find a leader and let us in again.
const STEP: Duration = Duration::from_secs(30);
/// What is not cleared up in so long, on a busy machine, nobody knows.
const UNSURE: Duration = Duration::from_secs(5);
const STEPS: [Duration; 2] = [Duration::from_secs(2), Duration::from_secs(15)];

struct Members {
    servers: Vec<Server>,
    config: Config,
    _directory: tempfile::TempDir,
}

impl Members {
    async fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut servers = ensemble(directory.path(), 3);
        servers.iter_mut().for_each(Server::start);
        for server in &servers {
            server.serves().await;
        }
        let ports: Vec<u16> = servers.iter().map(|server| server.port).collect();
        Self { config: fresh_path(&ports), servers, _directory: directory }
    }

    async fn leader(&self) -> usize {
        let begun = Instant::now();
        loop {
            for (n, server) in self.servers.iter().enumerate() {
                if server.is_running() && server.serves().await.is_leader {
                    return n;
                }
            }
            assert!(begun.elapsed() < STEP, "no member leads");
        }
    }
}

/// Puts as soon as that is possible; how long it took.
async fn put_again(store: &ZooKeeper, key: &str, value: &str) -> Duration {
    let begun = Instant::now();
    while let Err(error) = store.commit(Commit::new().put(key, value.to_owned())).await {
        assert!(begun.elapsed() < STEP, "{error}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    begun.elapsed()
}

/// One more, by the only writer of this key. Answers what the counter is now; a lost answer is cleared up by
/// looking, as a caller would.
async fn count(store: &ZooKeeper, key: &Key) -> u64 {
    let begun = Instant::now();
    loop {
        assert!(begun.elapsed() < STEP, "counting goes on in time");
        let Ok(lookup) = store.get(key, Consistency::Linearizable).await else {
            tokio::time::sleep(Duration::from_millis(20)).await;
            continue;
        };
        let (guard, value) = match &lookup.entry {
            None => (Guard::Absent(key.clone()), 0),
            Some(entry) => {
                let value: u64 = std::str::from_utf8(&entry.value).unwrap().parse().unwrap();
                (Guard::Modified(key.clone(), entry.modified), value)
            }
        };
        let next = (value + 1).to_string();
        let asked = Instant::now();
        match store.commit(Commit::new().when(guard).put(key.clone(), next)).await {
            Ok(_) => return 1,
            // Counted by nobody: the other client was first, or nothing happened.
            Err(CommitError::Conflict { .. } | CommitError::Unavailable(_)) => {}
            Err(CommitError::OutcomeUnknown { .. }) => {
                assert!(
                    asked.elapsed() > UNSURE,
                    "an answer lost with its member is cleared up with another"
                );
                return 0;
            }
            Err(error) => panic!("{error}"),
        }
    }
}

/// Two clients add to one counter while the leading member is killed: what was acknowledged is in the sum, and
/// at most what nobody knows is in it besides.
async fn killing_the_leader_loses_no_increment(members: &mut Members, stores: [&ZooKeeper; 2]) {
    let (key, known, unknown) = (Key::from("sum"), AtomicU64::new(0), AtomicU64::new(0));
    let is_over = AtomicBool::new(false);
    let counters = futures_util::future::join_all(stores.map(|store| async {
        while !is_over.load(Ordering::SeqCst) {
            match count(store, &key).await {
                0 => unknown.fetch_add(1, Ordering::SeqCst),
                _ => known.fetch_add(1, Ordering::SeqCst),
            };
        }
    }));
    let killer = async {
        let wait_for = async |more: u64| {
            let from = known.load(Ordering::SeqCst);
            let begun = Instant::now();
            while known.load(Ordering::SeqCst) < from + more {
                assert!(begun.elapsed() < STEP, "counting goes on");
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        wait_for(40).await;
        let leader = members.leader().await;
        members.servers[leader].kill();
        wait_for(40).await;
        members.servers[leader].start();
        is_over.store(true, Ordering::SeqCst);
        leader
    };
    let (_, leader) = futures_util::future::join(counters, killer).await;
    members.servers[leader].serves().await;
    let (known, unknown) = (known.into_inner(), unknown.into_inner());
    for store in stores {
        let entry = store.get(&key, Consistency::Linearizable).await.unwrap().entry.unwrap();
        let sum: u64 = std::str::from_utf8(&entry.value).unwrap().parse().unwrap();
        assert!((known..=known + unknown).contains(&sum), "{known} known, {unknown} unknown, found {sum}");
        assert_eq!(entry.version, sum);
    }
}

async fn killing_a_follower_is_not_noticed(members: &mut Members, store: &ZooKeeper) {
    let leader = members.leader().await;
    let follower = (leader + 1) % 3;
    members.servers[follower].kill();
    let took = put_again(store, "after/follower", "x").await;
    assert!(took < Duration::from_secs(5), "took {took:?}");
    members.servers[follower].start();
    members.servers[follower].serves().await;
}

/// The paused member believes to lead for a while; who is connected to it must not be answered from its past.
async fn a_paused_leader_is_replaced_and_nobody_reads_its_past(
    members: &mut Members,
    stores: [&ZooKeeper; 2],
) {
    let leader = members.leader().await;
    members.servers[leader].pause();
    let took = put_again(stores[0], "paused", "x").await;
    assert!(took < STEPS[1], "took {took:?}");
    members.servers[leader].resume();
    for n in 0..20 {
        let revision = put(stores[n % 2], "paused", &n.to_string()).await;
        let lookup = stores[(n + 1) % 2].get(&"paused".into(), Consistency::Linearizable).await.unwrap();
        assert_eq!(lookup.revision, revision);
    }
    members.servers[leader].serves().await;
}

/// G1, G27: nothing is acknowledged without a majority, and all goes on by itself once it is back.
async fn losing_the_majority_fails_fast_and_is_over_when_it_is_back(
    members: &mut Members,
    store: &ZooKeeper,
) {
    let revision = put(store, "before", "x").await;
    let mut watch = store.watch("after/majority".into(), revision.next());
    let lost: Vec<usize> = (0..3).filter(|n| *n != 1).collect();
    lost.iter().for_each(|&n| members.servers[n].kill());
    let begun = Instant::now();
    // The first may have been on its way; after that there is nothing to wait for.
    store.commit(Commit::new().put("without", "1")).await.unwrap_err();
    assert!(begun.elapsed() < STEPS[1], "took {:?}", begun.elapsed());
    for _ in 0..5 {
        let begun = Instant::now();
        let refused = store.commit(Commit::new().put("without", "2")).await;
        assert!(matches!(refused, Err(CommitError::Unavailable(_))), "{refused:?}");
        assert!(begun.elapsed() < STEPS[0] / 4, "took {:?}", begun.elapsed());
    }
    let stale = store.get(&"before".into(), Consistency::Stale).await.unwrap();
    assert_eq!(stale.revision, revision);
    lost.iter().for_each(|&n| members.servers[n].start());
    for &n in &lost {
        members.servers[n].serves().await;
    }
    put_again(store, "after/majority", "x").await;
    let told = loop {
        match tokio::time::timeout(STEP, watch.next()).await.expect("the watch goes on") {
            Some(Change::Progress(_)) => {}
            other => break other,
        }
    };
    assert!(matches!(&told, Some(Change::Batch(batch)) if batch.revision > revision), "{told:?}");
}

/// The session survives the change of the leading member, and with it who leads among us.
async fn an_elected_leader_outlives_the_member_it_was_connected_to(members: &mut Members, store: &ZooKeeper) {
    let leadership = store.campaign("scheduler", Bytes::from_static(b"me")).await.unwrap();
    let leader = members.leader().await;
    members.servers[leader].kill();
    let begun = Instant::now();
    loop {
        match store.commit(Commit::new().when(leadership.guard()).put("led", "x")).await {
            Ok(_) => break,
            Err(error @ CommitError::Conflict { .. }) => panic!("{error}"),
            Err(error) => assert!(begun.elapsed() < STEP, "{error}"),
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    members.servers[leader].start();
    members.servers[leader].serves().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g3_readers_stay_right_across_compactions_and_new_leaders() {
    let mut members = Members::start().await;
    let (writing, watching) = (open(&members.config).await, open(&members.config).await);
    let trouble = async {
        for round in 0..2 {
            let leader = members.leader().await;
            members.servers[leader].kill();
            put_again(&writing, "alive", &round.to_string()).await;
            members.servers[leader].start();
            members.servers[leader].serves().await;
        }
    };
    let overtaken = followers::stay_right_while(&writing, &[&writing, &watching], trouble).await;
    assert!(overtaken > 0, "nobody was overtaken by a compaction");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_ensemble_of_three_loses_members_and_no_acknowledged_write() {
    let mut members = Members::start().await;
    let (a, b) = (open(&members.config).await, open(&members.config).await);
    killing_a_follower_is_not_noticed(&mut members, &a).await;
    killing_the_leader_loses_no_increment(&mut members, [&a, &b]).await;
    an_elected_leader_outlives_the_member_it_was_connected_to(&mut members, &a).await;
    a_paused_leader_is_replaced_and_nobody_reads_its_past(&mut members, [&a, &b]).await;
    losing_the_majority_fails_fast_and_is_over_when_it_is_back(&mut members, &a).await;
    let largest = vec![b'x'; crate::MAX_COMMIT_BYTES / 2 - 10];
    // It may still be on its way back after the loss of the majority.
    put_again(&b, "last/0", "x").await;
    b.commit(Commit::new().put("last/1", largest.clone()).put("last/2", largest)).await.unwrap();
    let late = ZooKeeper::open(&members.config, Options::default()).await.unwrap();
    let truth = late.range(Range::prefix(Key::ALL)).await.unwrap();
    for store in [&a, &b] {
        assert_eq!(store.range(Range::prefix(Key::ALL)).await.unwrap().entries, truth.entries);
    }
    let leading = a.status().await.unwrap().leader.expect("one of them leads");
    let leader = members.leader().await;
    assert_eq!(leading, format!("127.0.0.1:{}", members.servers[leader].port));
    assert!(truth.revision > Revision::new(80));
}
