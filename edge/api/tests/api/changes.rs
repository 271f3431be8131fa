//! What changes the tree.

use std::time::Duration;

use serde_json::{Value, json};

use crate::cloud::TestCloud;

#[tokio::test]
async fn an_app_is_made_once() {
    let cloud = TestCloud::start().await;
    let create = "POST /api/v1/apps";
    let plan = cloud.call(create, &[], "?plan=true", Some(json!({"name": "shop"}))).await;
    assert_eq!(plan.json()["app"], "shop");
    assert_eq!(
        cloud.call("GET /api/v1/apps", &[], "", None).await.json(),
        json!([]),
        "a plan changes nothing"
    );
    let made = cloud.call(create, &[], "", Some(json!({"name": "shop"}))).await.json();
    assert_eq!(made["git_url"], format!("{}/git/shop.git", cloud.client.api()));
    let again = cloud.call(create, &[], "", Some(json!({"name": "shop"}))).await;
    assert_eq!((again.status, again.json()["type"].as_str()), (409, Some("urn:kogge:problem:conflict")));
    let one = cloud.call("GET /api/v1/apps/{app}", &["shop"], "", None).await.json();
    assert_eq!(one["path"], "/prod/shop");
    let bad = cloud.call(create, &[], "", Some(json!({"name": "No_Name"}))).await;
    assert_eq!((bad.status, bad.faults()), (422, vec!["name".to_owned()]));
    cloud.end().await;
}

#[tokio::test]
async fn a_deployment_is_followed_to_its_end() {
    let cloud = TestCloud::start().await;
    let deploy = "POST /api/v1/deployments";
    let wish = json!({"name": "shop", "command": "serve", "instances": 2, "ports": [80]});
    let plan = cloud.call(deploy, &[], "?plan=true", Some(wish.clone())).await.json();
    assert_eq!((&plan["is_plan"], &plan["revision"]), (&json!(true), &Value::Null));
    assert_ne!(plan["changes"], json!([]));
    let change = cloud.call(deploy, &[], "", Some(wish.clone())).await.json();
    let id = change["deployments"][0]["deployment"].as_str().unwrap();
    let show = "GET /api/v1/deployments/{deployment}";
    let over = cloud.call(show, &[id], "?wait_ms=20000", None).await.json();
    assert_eq!((&over["state"], &over["healthy"]), (&json!("done"), &json!(2)), "{over}");
    assert_eq!(over["url"], "http://shop.localhost/");
    let list = cloud.call("GET /api/v1/deployments", &[], "", None).await.json();
    assert_eq!(list[0]["deployment"], id);
    let same = cloud.call(deploy, &[], "", Some(wish)).await.json();
    assert_eq!(
        (&same["changes"], &same["revision"]),
        (&json!([]), &Value::Null),
        "nothing to change: {same}"
    );
    assert_eq!(cloud.call(show, &["no-such"], "", None).await.status, 404);
    cloud.end().await;
}

#[tokio::test]
async fn all_faults_of_a_wish_are_told_at_once_and_nothing_is_done() {
    let cloud = TestCloud::start().await;
    let wish =
        json!({"name": "shop", "command": "serve", "mem_bytes": 1, "instances": 99_999, "network": "moon"});
    let answer = cloud.call("POST /api/v1/deployments", &[], "", Some(wish)).await;
    assert_eq!(answer.status, 422);
    assert_eq!(answer.faults(), ["network", "instances", "template.limits.mem_bytes"]);
    let missing = cloud.call("POST /api/v1/deployments", &[], "", Some(json!({"image": "no:such"}))).await;
    assert_eq!(missing.status, 404, "{missing:?}");
    assert_eq!(cloud.client.services().await.unwrap(), []);
    cloud.end().await;
}

#[tokio::test]
async fn services_are_scaled_restarted_stopped_and_destroyed() {
    let cloud = TestCloud::start().await;
    cloud.with_service("shop", 1).await;
    let settled = async |change: Value| {
        for deployment in change["deployments"].as_array().unwrap() {
            let id = deployment["deployment"].as_str().unwrap();
            cloud.client.deployment(id, Duration::from_secs(20)).await.unwrap();
        }
        cloud.client.services().await.unwrap()
    };
    let scale = "POST /api/v1/scale";
    let change = cloud.call(scale, &[], "", Some(json!({"instances": {"shop": 3}}))).await.json();
    assert_eq!(change["changes"][0]["after"], "3");
    assert_eq!(settled(change).await[0].healthy, 3);
    let partly = json!({"instances": {"shop": 5, "nothing": 1}});
    assert_eq!(cloud.call(scale, &[], "", Some(partly)).await.status, 404);
    assert_eq!(cloud.client.service("shop").await.unwrap().instances, 3, "all of them or none");

    let shop = json!({"services": ["shop"]});
    let before = cloud.client.instances(Some("shop"), false).await.unwrap();
    let change = cloud.call("POST /api/v1/restart", &[], "", Some(shop.clone())).await.json();
    settled(change).await;
    let after = cloud.client.instances(Some("shop"), false).await.unwrap();
    assert!(after.iter().all(|now| before.iter().all(|then| then.task != now.task)), "{before:?} {after:?}");

    let change = cloud.call("POST /api/v1/stop", &[], "", Some(shop.clone())).await.json();
    let stopped = settled(change).await;
    assert!(stopped[0].is_stopped && stopped[0].instances == 3, "{stopped:?}");

    let destroy = "POST /api/v1/destroy";
    let plan = cloud.call(destroy, &[], "?plan=true", Some(shop.clone())).await.json();
    assert_eq!((&plan["is_plan"], cloud.client.services().await.unwrap().len()), (&json!(true), 1));
    cloud.call(destroy, &[], "", Some(shop)).await.json();
    assert_eq!(cloud.client.apps().await.unwrap(), []);
    cloud.end().await;
}

#[tokio::test]
async fn whoever_wants_the_end_of_the_cloud_is_heard() {
    let cloud = TestCloud::start().await;
    let answer = cloud.call("POST /api/v1/down", &[], "?keep_tasks=true", None).await;
    assert_eq!((answer.status, &answer.json()["pid"]), (202, &json!(std::process::id())));
    assert!(cloud.handle.asked_down().await.keep_tasks);
    cloud.end().await;
}

#[tokio::test]
async fn an_agent_is_drained_and_used_again() {
    let cloud = TestCloud::start().await;
    let wish = json!({"name": "shop", "command": "serve"});
    cloud.call("POST /api/v1/deployments", &[], "", Some(wish)).await.json();
    cloud.until(async || cloud.client.service("shop").await.unwrap().healthy == 1).await;
    let drain = "POST /api/v1/nodes/{node}/drain";
    let state = async || cloud.client.node("here").await.unwrap().remove(0);
    let wish = json!({"reason": "new disk"});
    let plan = cloud.call(drain, &["here"], "?plan=true", Some(wish.clone())).await.json();
    assert_eq!((&plan["is_plan"], &plan["changes"][0]["after"]), (&json!(true), &json!("new disk")));
    assert_eq!(state().await.state, "ready", "a plan changes nothing");
    let change = cloud.call(drain, &["here"], "", Some(wish.clone())).await.json();
    assert_eq!(change["changes"][0]["field"], "drain", "{change}");
    let again = cloud.call(drain, &["here"], "", Some(wish)).await.json();
    assert_eq!(again["changes"], json!([]), "it is drained already");
    let node = state().await;
    assert_eq!((node.state.as_str(), node.reason.as_str()), ("draining", "new disk; 1 task is left"));
    let why = cloud.client.why("shop").await.unwrap();
    assert!(why.sentences.iter().any(|text| text.contains("agent here is drained: new disk")), "{why:?}");
    assert_eq!(cloud.client.service("shop").await.unwrap().healthy, 1, "what has no place elsewhere stays");
    let shop = json!({"services": ["shop"]});
    cloud.call("POST /api/v1/destroy", &[], "", Some(shop)).await.json();
    cloud.until(async || state().await.state == "drained").await;
    let undrain = "POST /api/v1/nodes/{node}/undrain";
    let change = cloud.call(undrain, &["here"], "", None).await.json();
    assert_eq!(
        (&change["changes"][0]["before"], state().await.state.as_str()),
        (&json!("new disk"), "ready")
    );
    for operation in [drain, undrain] {
        let body = operation.ends_with("/drain").then(|| json!({}));
        let nobody = cloud.call(operation, &["nobody"], "", body).await;
        assert_eq!(nobody.status, 404, "{nobody:?}");
    }
    cloud.end().await;
}

#[tokio::test]
async fn labels_lie_over_what_an_agent_says_and_reservations_are_withheld() {
    let cloud = TestCloud::start().await;
    cloud.until(async || cloud.client.node("here").await.is_ok()).await;
    let label = "POST /api/v1/nodes/{node}/label";
    let node = async || cloud.client.node("here").await.unwrap().remove(0);
    let change =
        cloud.call(label, &["here"], "", Some(json!({"labels": {"zone": "a", "disk": "ssd"}}))).await;
    assert_eq!(change.json()["changes"].as_array().map(Vec::len), Some(2), "{change:?}");
    assert_eq!((node().await.attributes["zone"].as_str(), node().await.labels.len()), ("a", 2));
    cloud.call(label, &["here"], "", Some(json!({"labels": {"zone": null}}))).await.json();
    assert_eq!((node().await.attributes.get("zone"), node().await.labels.len()), (None, 1));
    let bad = json!({"labels": {"agent": "x", "a b": "y", "zone": ""}});
    let refused = cloud.call(label, &["here"], "", Some(bad)).await;
    assert_eq!((refused.status, refused.faults().len()), (422, 3), "{refused:?}");
    let own = cloud.call(label, &["here"], "", Some(json!({"labels": {}}))).await;
    assert_eq!((own.status, own.faults()), (422, vec!["labels".to_owned()]));

    let reserve = "POST /api/v1/nodes/{node}/reserve";
    cloud.call(reserve, &["here"], "", Some(json!({"cpu_millis": 7_950}))).await.json();
    let wish = json!({"name": "shop", "command": "serve", "cpu_millis": 100});
    cloud.call("POST /api/v1/deployments", &[], "", Some(wish)).await.json();
    let is_short = async || {
        let why = cloud.client.why("shop").await.unwrap();
        why.sentences.iter().any(|text| text.contains("too little cpu (at most 0.05 free)"))
    };
    cloud.until(is_short).await;
    cloud.call(reserve, &["here"], "", Some(json!({}))).await.json();
    cloud.until(async || cloud.client.service("shop").await.unwrap().healthy == 1).await;
    cloud.end().await;
}

#[tokio::test]
async fn an_agent_that_answers_is_not_forgotten() {
    let cloud = TestCloud::start().await;
    cloud.until(async || cloud.client.node("here").await.is_ok()).await;
    let forget = "DELETE /api/v1/nodes/{node}";
    let refused = cloud.call(forget, &["here"], "", None).await;
    assert_eq!((refused.status, refused.json()["type"].as_str()), (409, Some("urn:kogge:problem:conflict")));
    assert_eq!(cloud.client.node("here").await.unwrap().len(), 1);
    assert_eq!(cloud.call(forget, &["nobody"], "", None).await.status, 404);
    cloud.end().await;
}
