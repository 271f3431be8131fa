//! Connections that leave HTTP.

use std::time::Duration;

use tokio::io::AsyncWriteExt;

use crate::stage::{Peer, Stage, eventually, field};

const ASK: &str = "GET /ws HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n\
                   Sec-WebSocket-Key: x\r\nSec-WebSocket-Version: 13\r\n\r\n";

#[tokio::test]
async fn an_upgraded_connection_carries_bytes_both_ways_until_both_close() {
    let stage = Stage::new().await;
    let endpoint = stage
        .backend(|stream| async move {
            let mut peer = Peer::new(stream);
            let head = peer.head().await;
            assert_eq!(
                (field(&head, "connection"), field(&head, "upgrade")),
                (Some("upgrade"), Some("websocket"))
            );
            assert_eq!(field(&head, "sec-websocket-key"), Some("x"));
            // The first words come together with the header.
            peer.send(
                "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nhi",
            )
            .await;
            assert_eq!(peer.until("ping").await, "ping");
            peer.send("pong").await;
            assert!(peer.is_closed().await);
            peer.send("last words").await;
        })
        .await;
    let run = stage.shop(endpoint).await;
    let mut client = stage.client().await;
    client.send(ASK).await;
    let head = client.head().await;
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    assert_eq!((field(&head, "connection"), field(&head, "upgrade")), (Some("upgrade"), Some("websocket")));
    assert_eq!(client.until("hi").await, "hi");
    client.send("ping").await;
    assert_eq!(client.until("pong").await, "pong");
    let traffic = stage.router.instances().remove(0);
    assert_eq!((traffic.run, traffic.in_flight, stage.router.connections()), (run, 1, 1));
    client.stream.shutdown().await.unwrap();
    assert_eq!(client.rest().await, "last words");
    eventually("the tunnel is over", || {
        stage.router.instances()[0].in_flight == 0 && stage.router.connections() == 0
    })
    .await;
}

#[tokio::test]
async fn an_upgrade_that_is_declined_is_a_usual_response() {
    let stage = Stage::new().await;
    let endpoint = stage.backend(|stream| crate::stage::always(stream, "no")).await;
    stage.shop(endpoint).await;
    let mut client = stage.client().await;
    client.send(ASK).await;
    assert_eq!(client.response().await.1, "no");
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert_eq!(client.response().await.1, "no");
}

#[tokio::test]
async fn a_backend_cannot_upgrade_unasked() {
    let stage = Stage::new().await;
    let endpoint = stage
        .backend(|stream| async move {
            let mut peer = Peer::new(stream);
            let head = peer.head().await;
            assert_eq!(field(&head, "upgrade"), None, "{head}");
            peer.send("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n").await;
        })
        .await;
    stage.shop(endpoint).await;
    assert!(stage.get("a", "/").await.starts_with("HTTP/1.1 502 "));
    // Another form of HTTP would carry requests past us.
    for request in [
        "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: x\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket, h2c\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 2\r\n\r\nhi",
        "GET / HTTP/1.0\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
    ] {
        let mut client = stage.client().await;
        client.send(request).await;
        let head = client.head().await;
        assert!(head.contains(" 502 "), "{request}: {head}");
    }
}

#[tokio::test]
async fn a_tunnel_ends_with_the_routers_deadline() {
    let stage = Stage::new().await;
    let endpoint = stage
        .backend(|stream| async move {
            let mut peer = Peer::new(stream);
            peer.head().await;
            peer.send(
                "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
            )
            .await;
            assert!(peer.is_closed().await);
        })
        .await;
    stage.shop(endpoint).await;
    let mut client = stage.client().await;
    client.send(ASK).await;
    client.head().await;
    let laggards = stage.router.shutdown(Duration::from_millis(50)).await;
    assert_eq!(laggards, ["tunnel"]);
    assert!(client.is_closed().await);
}
