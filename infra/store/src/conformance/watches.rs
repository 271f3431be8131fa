//! Following changes.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;

use crate::{Change, Commit, Event, Key, Range, Revision, Store};

use super::{Rig, next, next_told, put};

type Copy = BTreeMap<Key, Bytes>;

fn apply(copy: &mut Copy, events: Vec<Event>) {
    for event in events {
        match event {
            Event::Put(entry) => copy.insert(entry.key, entry.value),
            Event::Delete { key } => copy.remove(&key),
        };
    }
}

async fn truth(store: &Arc<dyn Store>, prefix: &str) -> (Copy, Revision) {
    let page = store.range(Range::prefix(prefix)).await.unwrap();
    (page.entries.into_iter().map(|entry| (entry.key, entry.value)).collect(), page.revision)
}

pub(crate) async fn a_watch_sees_each_revision_once_across_disconnects(rig: &impl Rig) {
    const WRITERS: u64 = 4;
    const COMMITS: u64 = 100;
    let store = rig.open().await;
    let start = store.status().await.unwrap().revision;
    let writers = futures_util::future::join_all((0..WRITERS).map(|writer| {
        let store = Arc::clone(&store);
        async move {
            for n in 0..COMMITS {
                let mut commit = Commit::new().put(format!("w/{writer}"), n.to_string());
                commit = if n % 3 == 2 { commit.delete(format!("w/{writer}/x")) } else { commit };
                commit = if n % 3 == 1 { commit.put(format!("w/{writer}/x"), n.to_string()) } else { commit };
                store.commit(commit).await.unwrap();
            }
        }
    }));
    let watcher = async {
        let (mut seen, mut copy) = (start, Copy::new());
        let end = start.get() + WRITERS * COMMITS;
        let mut connects = 0;
        while seen.get() < end {
            connects += 1;
            let mut watch = store.watch("w/".into(), seen.next());
            for _ in 0..u64::min(end - seen.get(), end / 25) {
                match next_told(&mut watch).await {
                    Some(Change::Batch(batch)) => {
                        assert_eq!(batch.revision, seen.next(), "no gap, no repeat");
                        seen = batch.revision;
                        apply(&mut copy, batch.events);
                    }
                    other => panic!("unexpected {other:?}"),
                }
            }
        }
        assert!(connects >= 20, "{connects} connects");
        copy
    };
    let (_, copy) = futures_util::future::join(writers, watcher).await;
    assert_eq!(copy, truth(&store, "w/").await.0);
}

pub(crate) async fn a_batch_is_told_whole_and_only_under_its_prefix(rig: &impl Rig) {
    let store = rig.open().await;
    let start = put(&store, "in/old", "1").await;
    let mut watch = store.watch("in/".into(), start.next());
    let commit = Commit::new().put("in/a", "1").put("out/a", "1").delete("in/old").put("in/b", "2");
    let revision = store.commit(commit).await.unwrap();
    let Some(Change::Batch(batch)) = next_told(&mut watch).await else { panic!("a batch is told") };
    assert_eq!(batch.revision, revision);
    let keys: Vec<String> = batch.events.iter().map(|event| event.key().to_string()).collect();
    assert_eq!(keys.len(), 3, "{keys:?}");
    for event in &batch.events {
        match event {
            Event::Delete { key } => assert_eq!(key, &Key::from("in/old")),
            Event::Put(entry) => {
                assert_eq!((entry.created, entry.modified, entry.version), (revision, revision, 1))
            }
        }
    }
    put(&store, "out/b", "2").await;
    let later = put(&store, "in/c", "3").await;
    let Some(Change::Batch(batch)) = next_told(&mut watch).await else { panic!("a batch is told") };
    assert_eq!((batch.revision, batch.events.len()), (later, 1));
}

pub(crate) async fn a_watch_from_before_a_compaction_is_told_to_list_again(rig: &impl Rig) {
    let store = rig.open().await;
    let mut kept = Revision::ZERO;
    for n in 0..20 {
        let revision = put(&store, &format!("c/{}", n % 5), &n.to_string()).await;
        kept = if n == 10 { revision } else { kept };
    }
    store.commit(Commit::new().delete("c/0")).await.unwrap();
    store.compact(kept).await.unwrap();
    let mut watch = store.watch("c/".into(), Revision::new(1));
    assert_eq!(next_told(&mut watch).await, Some(Change::Compacted { oldest: kept }));
    assert_eq!(next(&mut watch).await, None, "the stream ends");
    let (copy, revision) = truth(&store, "c/").await;
    assert_eq!(copy.len(), 4, "compaction drops history, not entries");
    let mut watch = store.watch("c/".into(), revision.next());
    let later = put(&store, "c/9", "x").await;
    let Some(Change::Batch(batch)) = next_told(&mut watch).await else { panic!("a batch is told") };
    assert_eq!(batch.revision, later);
    let mut watch = store.watch("c/".into(), kept);
    let Some(Change::Batch(batch)) = next_told(&mut watch).await else { panic!("a batch is told") };
    assert_eq!(batch.revision, kept, "what was not dropped is still there");
}

pub(crate) async fn a_watch_from_a_future_that_never_was_is_told_to_list_again(rig: &impl Rig) {
    let store = rig.open().await;
    let revision = put(&store, "k", "1").await;
    let mut watch = store.watch(Key::ALL, Revision::new(revision.get() + 10));
    assert!(matches!(next(&mut watch).await, Some(Change::Compacted { .. })));
}

pub(crate) async fn a_watcher_of_a_quiet_prefix_learns_how_far_the_store_is(rig: &impl Rig) {
    let store = rig.open().await;
    let start = put(&store, "quiet/k", "1").await;
    let mut watch = store.watch("quiet/".into(), start.next());
    let mut last = start;
    for n in 0..10 {
        last = put(&store, "loud/k", &n.to_string()).await;
    }
    let mut told = start;
    while told < last {
        match next(&mut watch).await {
            Some(Change::Progress(revision)) => {
                assert!(revision > told && revision <= last);
                told = revision;
            }
            other => panic!("unexpected {other:?}"),
        }
    }
}
