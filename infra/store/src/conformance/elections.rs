//! One leader at a time, and none by mistake.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use bytes::Bytes;

use crate::{Commit, CommitError, Consistency};

use super::{Rig, STEP, find};

pub(crate) async fn a_deposed_leader_cannot_write(rig: &impl Rig) {
    let store = rig.open().await;
    let first = store.campaign("scheduler", Bytes::from_static(b"first")).await.unwrap();
    store.commit(Commit::new().when(first.guard()).put("order", "of the first")).await.unwrap();
    let record = store.get(first.key(), Consistency::Linearizable).await.unwrap().entry.unwrap();
    assert_eq!(&record.value[..], b"first", "those who look see who leads");
    let (late, fence) = (first.guard(), first.fence());
    let second = store.campaign("scheduler", Bytes::from_static(b"second"));
    let elsewhere = store.campaign("scheduler2", Bytes::from_static(b"other")).await.unwrap();
    let depose = async {
        // Ends the first leader's lease as its death would, while it still believes to lead.
        store.lease_revoke(record.lease.unwrap()).await.unwrap();
        tokio::time::timeout(STEP, first.lost()).await.expect("the leader learns that it lost");
    };
    let (second, ()) = futures_util::future::join(second, depose).await;
    let second = second.unwrap();
    assert!(second.fence() > fence, "fences only grow");
    let write = store.commit(Commit::new().when(late).put("order", "too late")).await;
    assert!(matches!(write, Err(CommitError::Conflict { index: 0 })), "{write:?}");
    drop(first);
    store
        .commit(Commit::new().when(second.guard()).when(elsewhere.guard()).put("order", "of both"))
        .await
        .unwrap();
    assert_eq!(&find(&store, "order").await.unwrap().value[..], b"of both");
}

pub(crate) async fn one_of_many_candidates_leads_at_a_time(rig: &impl Rig) {
    let store = rig.open().await;
    let leading = AtomicU32::new(0);
    let terms = futures_util::future::join_all((0..8).map(|candidate| {
        let (store, leading) = (Arc::clone(&store), &leading);
        async move {
            let leadership = store.campaign("many", Bytes::from(candidate.to_string())).await.unwrap();
            assert_eq!(leading.fetch_add(1, Ordering::SeqCst), 0, "nobody else leads");
            store
                .commit(Commit::new().when(leadership.guard()).put("term", candidate.to_string()))
                .await
                .unwrap();
            assert_eq!(leading.fetch_sub(1, Ordering::SeqCst), 1);
            let fence = leadership.fence();
            leadership.resign();
            fence
        }
    }));
    let mut fences = tokio::time::timeout(STEP, terms).await.expect("all lead in turn");
    fences.sort_unstable();
    fences.dedup();
    assert_eq!(fences.len(), 8, "each term has a fence of its own");
}
