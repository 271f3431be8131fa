//! When a request is tried again, and when it must not be.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use kogge_router::RouterConfig;

use crate::stage::{Peer, Stage, always, nobody};

/// A backend that answers the first request of each connection and dies on the second one. Counts requests.
async fn dies_on_second(stage: &Stage) -> (std::net::SocketAddr, Arc<AtomicUsize>) {
    let seen = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&seen);
    let endpoint = stage
        .backend(move |stream| {
            let counter = Arc::clone(&counter);
            async move {
                let mut peer = Peer::new(stream);
                peer.head().await;
                counter.fetch_add(1, Ordering::SeqCst);
                peer.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
                if peer.find("\r\n\r\n").await.is_some() {
                    counter.fetch_add(1, Ordering::SeqCst);
                }
            }
        })
        .await;
    (endpoint, seen)
}

#[tokio::test]
async fn a_refused_connection_goes_to_another_instance_which_is_then_preferred() {
    let stage = Stage::new().await;
    stage.shop(nobody().await).await;
    stage.add("shop", stage.backend(|stream| always(stream, "ok")).await).await;
    for _ in 0..20 {
        assert!(stage.get("a", "/").await.ends_with("ok"));
    }
    let (_, reading) = stage.router.traffic().remove(0);
    assert_eq!(reading.by_class, [0, 20, 0, 0, 0]);
    assert!((1..=2).contains(&reading.retries), "{}: the refusing one is avoided", reading.retries);
}

#[tokio::test]
async fn a_request_without_effect_is_sent_again_when_a_kept_connection_turns_out_dead() {
    let stage = Stage::new().await;
    let (endpoint, seen) = dies_on_second(&stage).await;
    stage.shop(endpoint).await;
    let mut client = stage.client().await;
    for count in 1..=4 {
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
        assert_eq!(client.response().await.1, "ok");
        // Every second request meets a kept connection, which takes it and dies.
        assert_eq!(seen.load(Ordering::SeqCst), count + (count - 1));
    }
}

#[tokio::test]
async fn a_request_that_may_have_had_an_effect_is_not_sent_again() {
    let stage = Stage::new().await;
    let (endpoint, seen) = dies_on_second(&stage).await;
    stage.shop(endpoint).await;
    let mut client = stage.client().await;
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    client.response().await;
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi").await;
    let (head, body) = client.response().await;
    assert!(head.starts_with("HTTP/1.1 502 ") && body.contains("without an answer"), "{head}{body}");
    assert_eq!(seen.load(Ordering::SeqCst), 2, "one GET, one POST");
}

#[tokio::test]
async fn a_connection_that_the_backend_closed_is_not_used_for_anything() {
    let stage = Stage::new().await;
    let endpoint = stage
        .backend(|stream| async move {
            let mut peer = Peer::new(stream);
            peer.head().await;
            peer.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
        })
        .await;
    stage.shop(endpoint).await;
    let mut client = stage.client().await;
    for _ in 0..50 {
        client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi").await;
        let (head, _) = client.response().await;
        assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
        // Its end must have arrived before the next request is a fair one.
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

#[tokio::test]
async fn a_backend_that_speaks_unasked_cannot_answer_the_next_request() {
    let stage = Stage::new().await;
    let endpoint = stage
        .backend(|stream| async move {
            let mut peer = Peer::new(stream);
            while peer.find("\r\n\r\n").await.is_some() {
                peer.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil").await;
            }
        })
        .await;
    stage.shop(endpoint).await;
    let mut client = stage.client().await;
    for _ in 0..10 {
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
        assert_eq!(client.response().await.1, "ok");
    }
}

#[tokio::test]
async fn an_instance_that_dies_over_a_request_that_may_be_repeated_costs_nobody_an_answer() {
    let stage = Stage::new().await;
    let dies = stage.backend(|stream| async move { drop(Peer::new(stream).find("\r\n\r\n").await) }).await;
    stage.shop(dies).await;
    stage.add("shop", stage.backend(|stream| always(stream, "ok")).await).await;
    for _ in 0..10 {
        assert!(stage.get("a", "/").await.ends_with("ok"));
    }
    let (_, reading) = stage.router.traffic().remove(0);
    assert!(reading.retries > 0 && reading.by_class == [0, 10, 0, 0, 0], "{reading:?}");

    // Nobody knows what became of the first one.
    let mut failed = 0;
    for _ in 0..10 {
        let mut client = stage.client().await;
        client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n").await;
        failed += usize::from(client.response().await.1 != "ok");
    }
    assert!(failed > 0);
}

/// An endpoint that answers no connection: its queue of length one is full, as long as the rest lives.
async fn hangs() -> (std::net::SocketAddr, (tokio::net::TcpListener, Vec<tokio::net::TcpStream>)) {
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind(crate::stage::loopback()).unwrap();
    let listener = socket.listen(0).unwrap();
    let full = listener.local_addr().unwrap();
    let mut fillers = Vec::new();
    while let Ok(Ok(filler)) =
        tokio::time::timeout(Duration::from_millis(100), tokio::net::TcpStream::connect(full)).await
    {
        fillers.push(filler);
    }
    (full, (listener, fillers))
}

#[tokio::test]
async fn instances_that_hang_on_connecting_are_left_for_another_one_until_they_answer() {
    let config = RouterConfig { connect_timeout: Duration::from_millis(100), ..RouterConfig::default() };
    let stage = Stage::with(config).await;
    let mut hanging = Vec::new();
    for count in 0..3 {
        let (endpoint, kept) = hangs().await;
        hanging.push(kept);
        if count == 0 {
            stage.shop(endpoint).await
        } else {
            stage.add("shop", endpoint).await
        };
    }
    stage.add("shop", stage.backend(|stream| always(stream, "ok")).await).await;
    for _ in 0..20 {
        assert!(stage.get("a", "/").await.ends_with("ok"));
    }
    let (_, reading) = stage.router.traffic().remove(0);
    assert_eq!(reading.by_class, [0, 20, 0, 0, 0]);
    assert_eq!(reading.retries, 3, "each of them is met once");

    let (listener, fillers) = hanging.remove(0);
    drop(fillers);
    let group = stage.group.clone();
    stage.spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            drop(group.spawn("connection", kogge_host::tasks::OnPanic::Log, always(stream, "back")));
        }
    });
    let back = async { while !stage.get("a", "/").await.ends_with("back") {} };
    tokio::time::timeout(Duration::from_secs(30), back).await.expect("it is found again");
}
