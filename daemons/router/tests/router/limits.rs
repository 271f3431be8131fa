//! What no client may take more of than its share.

use std::time::Duration;

use kogge_router::RouterConfig;

use crate::stage::{Stage, always, eventually, field};

async fn stage(config: RouterConfig) -> Stage {
    let stage = Stage::with(config).await;
    stage.shop(stage.backend(|stream| always(stream, "ok")).await).await;
    stage
}

#[tokio::test]
async fn connections_beyond_the_limit_are_told_so() {
    let stage = stage(RouterConfig { max_connections: 2, ..RouterConfig::default() }).await;
    let (mut first, second) = (stage.client().await, stage.client().await);
    eventually("both are in", || stage.router.connections() == 2).await;
    let refused = stage.get("a", "/").await;
    assert!(refused.starts_with("HTTP/1.1 503 ") && field(&refused, "x-kogge-error") == Some("connections"));
    first.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert_eq!(first.response().await.1, "ok");
    drop(second);
    eventually("one left", || stage.router.connections() == 1).await;
    assert!(stage.get("a", "/").await.ends_with("ok"));
}

#[tokio::test]
async fn a_header_that_does_not_come_is_not_waited_for() {
    let config = RouterConfig { header_timeout: Duration::from_millis(200), ..RouterConfig::default() };
    let stage = stage(config).await;
    let mut silent = stage.client().await;
    assert!(silent.is_closed().await);
    let mut slow = stage.client().await;
    slow.send("GET / HTTP/1.1\r\nHost: a\r\nX: ").await;
    assert!(slow.is_closed().await);
    // A slow second header on a connection that is in use counts as well.
    let mut later = stage.client().await;
    later.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    later.response().await;
    later.send("GET / HT").await;
    assert!(later.is_closed().await);
}

#[tokio::test]
async fn an_unused_connection_is_closed_after_its_time_and_a_used_one_is_not() {
    let config = RouterConfig { idle_timeout: Duration::from_millis(300), ..RouterConfig::default() };
    let stage = stage(config).await;
    let mut client = stage.client().await;
    for _ in 0..6 {
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
        assert_eq!(client.response().await.1, "ok");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(client.is_closed().await);
}

#[tokio::test]
async fn a_header_that_is_too_large_is_a_431() {
    let stage = stage(RouterConfig { max_header_bytes: 16 * 1024, ..RouterConfig::default() }).await;
    let ask =
        |size| format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\nConnection: close\r\n\r\n", "x".repeat(size));
    assert!(stage.ask(&ask(8 * 1024)).await.ends_with("ok"));
    let refused = stage.ask(&ask(64 * 1024)).await;
    assert!(refused.is_empty() || refused.starts_with("HTTP/1.1 431 "), "{refused}");
}

#[tokio::test]
async fn counters_tell_what_came() {
    let stage = stage(RouterConfig::default()).await;
    for _ in 0..5 {
        stage.get("a", "/").await;
    }
    let (service, reading) = stage.router.traffic().remove(0);
    assert_eq!((service.to_string().as_str(), reading.by_class), ("shop", [0, 5, 0, 0, 0]));
    assert_eq!((reading.buckets.iter().sum::<u64>(), reading.router_errors), (5, 0));
    assert!(reading.micros > 0);
}
