//! Copies over an engine that is elsewhere, where leases end, leaders change and neighbours write.

use super::*;

/// Each server has its own way to the engine.
pub(super) async fn find_out_only_the_damaged_copy(stores: [Arc<dyn Store>; 2], neighbour: &Arc<dyn Store>) {
    let mut pair = Pair::over(stores, None).await;
    for round in 0..40_usize {
        let lease = pair.store.lease_grant(LEASE).await.unwrap().id;
        let commit = Commit::new().put_leased(format!("leased/{round}"), "x", lease);
        pair.store.commit(commit.put(format!("plain/{}", round % 7), "y")).await.unwrap();
        neighbour.commit(Commit::new().put("of no interest", round.to_string())).await.unwrap();
        let leadership = pair.store.campaign("lead", "somebody".into()).await.unwrap();
        let guarded = Commit::new().when(leadership.guard()).put("led", round.to_string());
        pair.store.commit(guarded).await.unwrap();
        drop(leadership);
        pair.store.lease_revoke(lease).await.unwrap();
        pair.tell(round % 2).await;
    }
    pair.put("a", "1").await;
    assert!(pair.has_equal_copies());
    assert_eq!(pair.mismatches(), [0, 0]);
    lose(&pair.copies[1], "before");
    pair.put("a", "2").await;
    pair.tell(0).await;
    let is_right = |copy: &Copy| copy.mismatches() == 1 && copy.image().get(&"before".into()).is_some();
    until(&pair.copies[1], is_right).await;
    pair.put("a", "3").await;
    pair.tell(0).await;
    pair.tell(1).await;
    assert_eq!(pair.mismatches(), [0, 1]);
    assert!(pair.has_equal_copies());
    pair.end().await;
}
