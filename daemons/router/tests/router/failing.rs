//! What a client hears when a backend does not do its part.

use std::time::Duration;

use kogge_router::RouterConfig;

use crate::stage::{Peer, Stage, field, nobody};

#[tokio::test]
async fn a_backend_that_cannot_be_reached_is_a_502_that_says_so() {
    let stage = Stage::new().await;
    stage.shop(nobody().await).await;
    let text = stage.get("a", "/").await;
    assert!(text.starts_with("HTTP/1.1 502 "), "{text}");
    assert!(text.contains("shop.1 cannot be reached: ") && text.contains("kogge logs shop"), "{text}");
    assert_eq!(field(&text, "x-kogge-error"), Some("backend-unreachable"));
}

#[tokio::test]
async fn an_answer_that_is_none_is_a_502_that_says_why() {
    let endless = "HTTP/1.1 200 OK\r\n".to_owned() + &"X: y\r\n".repeat(20_000);
    for (response, why) in [
        ("", "it closed the connection without an answer"),
        ("nonsense\r\n\r\n", "its response header is malformed"),
        ("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", "two different ones"),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n", "a transfer coding other than chunked"),
        (&endless, "its response header is "),
        (&"HTTP/1.1 102 Processing\r\n\r\n".repeat(100), "too many interim responses"),
    ] {
        let stage = Stage::new().await;
        let response = response.to_owned();
        let endpoint = stage
            .backend(move |stream| {
                let response = response.clone();
                async move {
                    let mut peer = Peer::new(stream);
                    peer.head().await;
                    // The router may hang up before it has all.
                    let _ = tokio::io::AsyncWriteExt::write_all(&mut peer.stream, response.as_bytes()).await;
                }
            })
            .await;
        stage.shop(endpoint).await;
        let text = stage.get("a", "/").await;
        assert!(text.starts_with("HTTP/1.1 502 ") && text.contains(why), "{why}: {text}");
    }
}

#[tokio::test]
async fn a_backend_that_does_not_answer_in_time_is_a_504() {
    let config = RouterConfig { response_timeout: Duration::from_millis(200), ..RouterConfig::default() };
    let stage = Stage::with(config).await;
    let endpoint = stage
        .backend(|stream| async move {
            let mut peer = Peer::new(stream);
            peer.head().await;
            assert!(peer.is_closed().await, "the request is given up at the backend too");
        })
        .await;
    stage.shop(endpoint).await;
    let mut client = stage.client().await;
    for _ in 0..2 {
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
        let (head, body) = client.response().await;
        assert!(head.starts_with("HTTP/1.1 504 ") && body.contains("no response in time"), "{head}{body}");
    }
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nfirst").await;
    let (head, _) = client.response().await;
    assert!(head.starts_with("HTTP/1.1 408 "), "{head}");
}

#[tokio::test]
async fn a_backend_that_answers_before_it_has_the_request_is_heard() {
    let stage = Stage::new().await;
    let endpoint = stage
        .backend(|stream| async move {
            let mut peer = Peer::new(stream);
            peer.head().await;
            peer.send(
                "HTTP/1.1 413 Content Too Large\r\nContent-Length: 5\r\nConnection: close\r\n\r\nlarge",
            )
            .await;
            peer.is_closed().await;
        })
        .await;
    stage.shop(endpoint).await;
    let mut client = stage.client().await;
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\nbegin").await;
    let (head, body) = client.response().await;
    assert!(head.starts_with("HTTP/1.1 413 ") && body == "large", "{head}");
}
