//! What only clouds of several machines need.

use serde_json::json;

use crate::cloud::TestCloud;

#[tokio::test]
async fn a_token_is_made_for_each_machine_and_bounds_are_told() {
    let cloud = TestCloud::start().await;
    let first = cloud.call("POST /api/v1/join-tokens", &[], "", Some(json!({}))).await;
    assert_eq!(first.status, 201);
    let second = cloud.call("POST /api/v1/join-tokens", &[], "", Some(json!({ "ttl_seconds": 60 }))).await;
    let (first, second) = (first.json(), second.json());
    assert_ne!(first["token"], second["token"]);
    assert!(second["expires_at"].as_str() < first["expires_at"].as_str(), "{first} {second}");
    assert_eq!(first["servers"], json!([]), "this cloud has no door for agents");
    for seconds in [0, 31 * 24 * 3_600] {
        let refused =
            cloud.call("POST /api/v1/join-tokens", &[], "", Some(json!({ "ttl_seconds": seconds }))).await;
        assert_eq!(refused.status, 422);
        assert_eq!(refused.json()["faults"][0]["field"], "ttl_seconds");
    }
    cloud.end().await;
}

#[tokio::test]
async fn a_server_that_is_alone_does_not_step_down() {
    let cloud = TestCloud::start().await;
    let refused = cloud.call("POST /api/v1/leader/step-down", &[], "", None).await;
    assert_eq!(refused.status, 409);
    let problem = refused.json();
    assert_eq!(problem["detail"], "there is no other server to lead");
    assert!(problem["hint"].is_string());
    cloud.end().await;
}
