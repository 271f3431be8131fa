//! Answers that do not end by themselves.

use std::time::Duration;

use kogge_model::view::{EventKind, LogQuery};

use crate::cloud::TestCloud;

#[tokio::test]
async fn lines_are_read_whole_and_followed() {
    let cloud = TestCloud::start().await;
    cloud.with_service("shop", 2).await;
    let all = cloud.call("GET /api/v1/logs", &[], "?of=shop&tail=10&since=2026-01-01T00:00:00Z", None).await;
    assert_eq!(all.body.lines().filter(|line| !line.is_empty()).count(), 4, "{all:?}");
    let query = LogQuery { of: Some("shop.2".into()), follow: true, ..LogQuery::default() };
    let mut feed = cloud.client.logs(&query).await.unwrap();
    for text in ["one", "two"] {
        let line = feed.next().await.unwrap().unwrap();
        assert_eq!((line.text.as_str(), line.instance.as_str()), (text, "shop.2"));
    }
    let unknown = cloud.call("GET /api/v1/logs", &[], "?of=nothing", None).await;
    assert_eq!(unknown.status, 404, "{unknown:?}");
    let bad = cloud.call("GET /api/v1/logs", &[], "?since=yesterday", None).await;
    assert_eq!(bad.status, 400, "{bad:?}");
    // A listener does not hold up the end.
    cloud.end().await;
    assert!(feed.next().await.unwrap().is_none());
}

#[tokio::test]
async fn events_come_as_they_happen_until_the_end() {
    let cloud = TestCloud::start().await;
    let mut feed = cloud.client.events().await.unwrap();
    cloud.with_service("shop", 1).await;
    let mut kinds = Vec::new();
    while !kinds.contains(&EventKind::Deployment) || !kinds.contains(&EventKind::Revision) {
        let event =
            tokio::time::timeout(Duration::from_secs(20), feed.next()).await.expect("an event in time");
        kinds.push(event.unwrap().unwrap().kind);
    }
    let head = cloud.head("GET /api/v1/events").await;
    assert!(head.contains("content-type: text/event-stream"), "{head}");
    cloud.end().await;
    while feed.next().await.unwrap().is_some() {}
}
