//! What only reads.

use serde_json::json;

use crate::cloud::TestCloud;

#[tokio::test]
async fn the_cloud_tells_how_it_is_and_where() {
    let cloud = TestCloud::start().await;
    cloud.with_service("shop", 2).await;
    let status = cloud.call("GET /api/v1/status", &[], "", None).await.json();
    assert_eq!(status["pid"], std::process::id());
    assert_eq!((&status["version"], &status["agents"]), (&json!("1.2.3"), &json!(1)));
    assert_eq!(
        (&status["services"], &status["instances"], &status["healthy"]),
        (&json!(1), &json!(2), &json!(2))
    );
    let doors = cloud.call("GET /api/v1/doors", &[], "", None).await.json();
    assert_eq!(doors["api"], cloud.client.api());
    let revisions = cloud.call("GET /api/v1/revisions", &[], "?limit=1", None).await.json();
    assert_eq!(revisions[0]["revision"], status["revision"]);
    assert_eq!(revisions[0]["author"], "local operator");
    assert_eq!(revisions.as_array().unwrap().len(), 1);
    cloud.end().await;
}

#[tokio::test]
async fn servers_and_agents_are_told_with_what_they_hold() {
    let cloud = TestCloud::start().await;
    cloud.with_service("shop", 2).await;
    let nodes = cloud.call("GET /api/v1/nodes", &[], "", None).await.json();
    for field in ["name", "role", "leader", "state", "version", "address", "resources", "reason"] {
        assert!(nodes[0].as_object().unwrap().contains_key(field), "{field}: {nodes}");
    }
    assert_eq!((&nodes[0]["role"], &nodes[0]["leader"]), (&json!("server"), &json!(true)));
    assert_eq!(
        (&nodes[1]["role"], &nodes[1]["name"], &nodes[1]["state"]),
        (&json!("agent"), &json!("here"), &json!("ready"))
    );
    assert_eq!(nodes[1]["resources"]["cpu_millis"], 8_000);
    assert!(nodes[1]["resources"]["held_cpu_millis"].as_u64().is_some_and(|held| held > 0), "{nodes}");
    assert_eq!(nodes[1]["tasks"].as_array().unwrap().len(), 2);
    let here = cloud.call("GET /api/v1/nodes/{node}", &["here"], "", None).await.json();
    assert_eq!(here.as_array().unwrap().len(), 1);
    let nobody = cloud.call("GET /api/v1/nodes/{node}", &["nobody"], "", None).await;
    assert_eq!(nobody.status, 404, "{nobody:?}");
    cloud.end().await;
}

#[tokio::test]
async fn instances_have_every_field_that_programs_rely_on() {
    let cloud = TestCloud::start().await;
    cloud.with_service("shop", 1).await;
    cloud.with_service("shop/worker", 1).await;
    let all = cloud.call("GET /api/v1/instances", &[], "", None).await.json();
    assert_eq!(all.as_array().unwrap().len(), 2);
    for field in [
        "service",
        "instance",
        "task",
        "state",
        "healthy",
        "agent",
        "pid",
        "ports",
        "image",
        "started_at",
        "restarts",
        "reason",
    ] {
        assert!(all[0].as_object().unwrap().contains_key(field), "{field}: {all}");
    }
    let worker = cloud.call("GET /api/v1/instances", &[], "?of=shop%2Fworker&all=true", None).await.json();
    assert_eq!((&worker[0]["instance"], &worker[0]["state"]), (&json!("shop/worker.1"), &json!("running")));
    assert_eq!((&worker[0]["pid"], &worker[0]["agent"]), (&json!(4711), &json!("here")));
    let of_app = cloud.call("GET /api/v1/instances", &[], "?of=shop", None).await.json();
    assert_eq!(of_app.as_array().unwrap().len(), 2, "an app named alone means all its services");
    let unknown = cloud.call("GET /api/v1/instances", &[], "?of=nothing", None).await;
    assert_eq!(unknown.status, 404, "{unknown:?}");
    let bad = cloud.call("GET /api/v1/instances", &[], "?of=A_B", None).await;
    assert_eq!((bad.status, bad.faults()), (422, vec!["of".to_owned()]));
    cloud.end().await;
}

#[tokio::test]
async fn services_and_reasons_are_told_by_names_as_people_write_them() {
    let cloud = TestCloud::start().await;
    cloud.with_service("shop/worker", 1).await;
    let list = cloud.call("GET /api/v1/services", &[], "", None).await.json();
    assert_eq!(list[0]["service"], "shop/worker");
    let one = cloud.call("GET /api/v1/services/{service}", &["shop%2Fworker"], "", None).await.json();
    assert_eq!((&one["path"], &one["healthy"]), (&json!("/prod/shop/worker"), &json!(1)));
    let why = cloud.call("GET /api/v1/why/{name}", &["shop%2Fworker"], "", None).await.json();
    assert!(!why["sentences"].as_array().unwrap().is_empty(), "{why}");
    for (operation, name) in [
        ("GET /api/v1/services/{service}", "no"),
        ("GET /api/v1/why/{name}", "no"),
        ("GET /api/v1/apps/{app}", "no"),
    ] {
        let answer = cloud.call(operation, &[name], "", None).await;
        assert_eq!(
            (answer.status, answer.json()["type"].as_str()),
            (404, Some("urn:kogge:problem:not-found"))
        );
    }
    cloud.end().await;
}

#[tokio::test]
async fn metrics_and_health_are_plain_text() {
    let cloud = TestCloud::start().await;
    cloud.with_service("shop", 2).await;
    let metrics = cloud.call("GET /metrics", &[], "", None).await;
    assert!(metrics.head.contains("text/plain; version=0.0.4"), "{metrics:?}");
    assert!(metrics.body.contains("\nkogge_service_healthy{service=\"shop\"} 2\n"), "{metrics:?}");
    let health = cloud.call("GET /healthz", &[], "", None).await;
    assert_eq!((health.status, health.body.as_str()), (200, "ok\n"));
    cloud.end().await;
}
