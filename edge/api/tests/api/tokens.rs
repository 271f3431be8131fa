//! Tokens of operators.

use kogge_model::caller::Caller;
use serde_json::json;

use crate::cloud::TestCloud;

const LIST: &str = "GET /api/v1/tokens";
const CREATE: &str = "POST /api/v1/tokens";
const REVOKE: &str = "DELETE /api/v1/tokens/{token}";

#[tokio::test]
async fn a_token_is_shown_once_known_at_once_and_revoked_for_good() {
    let cloud = TestCloud::start().await;
    let made = cloud.call(CREATE, &[], "", Some(json!({"name": "ann"}))).await.json();
    let secret = made["secret"].as_str().unwrap();
    assert_eq!((&made["token"]["name"], &made["token"]["state"]), (&json!("ann"), &json!("valid")));
    assert_eq!(made["token"]["created_by"], "local operator");
    assert!(made["token"]["expires_at"].is_string(), "90 days when nothing is said: {made}");
    assert_eq!(cloud.handle.recognise(secret), Ok(Caller::operator("ann")));

    let list = cloud.call(LIST, &[], "", None).await;
    assert!(!list.body.contains(secret.split('.').nth(2).unwrap()), "{list:?}");
    assert_eq!(list.json(), json!([made["token"]]));

    let again = cloud.call(CREATE, &[], "", Some(json!({"name": "ann"}))).await;
    assert_eq!((again.status, again.json()["type"].as_str()), (409, Some("urn:kogge:problem:conflict")));

    let revoked = cloud.call(REVOKE, &["ann"], "", None).await.json();
    assert_eq!((&revoked["id"], &revoked["state"]), (&made["token"]["id"], &json!("revoked")));
    let told = cloud.handle.recognise(secret).unwrap_err().to_string();
    assert!(told.starts_with("the token ann was revoked at "), "{told}");
    assert_eq!(cloud.call(REVOKE, &["nobody"], "", None).await.status, 404);

    let new = cloud.call(CREATE, &[], "", Some(json!({"name": "ann", "never_expires": true}))).await.json();
    assert_eq!(new["token"]["expires_at"], json!(null), "the name is free again");
    let by_id = cloud.call(REVOKE, &[new["token"]["id"].as_str().unwrap()], "", None).await.json();
    assert_eq!(by_id["id"], new["token"]["id"]);
    cloud.end().await;
}

#[tokio::test]
async fn wishes_for_tokens_that_break_rules_are_refused() {
    let cloud = TestCloud::start().await;
    let wish = json!({"name": "local operator", "expires_in_ms": 0});
    let answer = cloud.call(CREATE, &[], "", Some(wish)).await;
    assert_eq!((answer.status, answer.faults()), (422, vec!["name".to_owned(), "expires_in_ms".to_owned()]));
    assert_eq!(cloud.call(LIST, &[], "", None).await.json(), json!([]));
    cloud.end().await;
}
