//! A disk that is slow, or whose syncs fail, as a client meets it.

use std::time::Duration;

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::cloud::{Answer, TestCloud};
use crate::troubled_store::Trouble;

const SLOW: Duration = Duration::from_millis(200);

async fn scale(cloud: &TestCloud, instances: u32) -> Answer {
    cloud.call("POST /api/v1/scale", &[], "", Some(json!({"instances": {"shop": instances}}))).await
}

/// All instances are there once, healthy, and none was ever started again.
async fn settles_at(cloud: &TestCloud, wanted: u32) {
    cloud
        .until(async || {
            let services = cloud.client.services().await.unwrap();
            services.first().is_some_and(|shop| (shop.instances, shop.healthy) == (wanted, wanted))
        })
        .await;
    cloud
        .until(async || {
            let instances = cloud.client.instances(Some("shop"), false).await.unwrap();
            instances.len() == wanted as usize && instances.iter().all(|one| one.restarts == 0)
        })
        .await;
}

#[tokio::test]
async fn g1_a_failed_sync_is_told_and_leaves_all_or_nothing() {
    for (trouble, wanted) in [(Trouble::FailsLost, 3), (Trouble::FailsKept, 5)] {
        let cloud = TestCloud::start().await;
        cloud.with_service("shop", 3).await;
        cloud.store.suffer(trouble);
        let answer = scale(&cloud, 5).await;
        cloud.store.suffer(Trouble::Nothing);
        assert_eq!(answer.status, 503, "{trouble:?}: {answer:?}");
        let told = answer.json();
        assert!(told["detail"].as_str().unwrap().contains("may or may not"), "{trouble:?}: {told}");
        settles_at(&cloud, wanted).await;
        assert_eq!(scale(&cloud, 4).await.status, 200);
        settles_at(&cloud, 4).await;
        cloud.end().await;
    }
}

#[tokio::test]
async fn g1_syncs_that_fail_while_instances_start_double_none() {
    for trouble in [Trouble::FailsLost, Trouble::FailsKept] {
        let cloud = TestCloud::start().await;
        cloud.with_service("shop", 1).await;
        // The wish is saved. What agent and control say of it then is not, or is and nobody knows.
        let before = cloud.store.commits();
        cloud.store.suffer_after(1, trouble);
        assert_eq!(scale(&cloud, 9).await.status, 200);
        cloud.until(async || cloud.store.commits() > before + 2).await;
        cloud.store.suffer(Trouble::Nothing);
        settles_at(&cloud, 9).await;
        cloud.end().await;
    }
}

#[tokio::test]
async fn g1_a_slow_sync_holds_back_the_answer_and_many_writes_share_one() {
    const WRITES: usize = 40;
    let cloud = TestCloud::start().await;
    cloud.store.suffer(Trouble::Slow(SLOW));
    let before = cloud.store.commits();
    let (began, create) = (std::time::Instant::now(), "POST /api/v1/apps");
    let names: Vec<Value> = (0..WRITES).map(|number| json!({"name": format!("app-{number}")})).collect();
    let answers = join_all(names.iter().map(|name| cloud.call(create, &[], "", Some(name.clone())))).await;
    assert!(began.elapsed() >= SLOW, "nothing is acknowledged before it is safe");
    assert!(answers.iter().all(|answer| answer.status == 200), "{answers:?}");
    let commits = cloud.store.commits() - before;
    assert!(commits < WRITES / 2, "{commits} syncs for {WRITES} writes");
    assert_eq!(cloud.client.apps().await.unwrap().len(), WRITES);
    cloud.end().await;
}
