//! Bodies pass as they come, both ways, and no faster than they are taken.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::AsyncWriteExt;

use crate::stage::{Peer, Stage, eventually, field};

#[tokio::test]
async fn a_response_arrives_piece_by_piece() {
    let stage = Stage::new().await;
    let endpoint = stage
        .backend(|stream| async move {
            let mut peer = Peer::new(stream);
            peer.head().await;
            peer.send(
                "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n",
            )
            .await;
            peer.send("3\r\none\r\n").await;
            // The rest never comes; a router that waited for it would show nothing.
            std::future::pending::<()>().await;
        })
        .await;
    stage.shop(endpoint).await;
    let mut client = stage.client().await;
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let head = client.head().await;
    assert_eq!(field(&head, "transfer-encoding"), Some("chunked"));
    assert_eq!(client.until("one\r\n").await, "3\r\none\r\n");
}

#[tokio::test]
async fn a_request_arrives_piece_by_piece_while_the_response_already_flows() {
    let stage = Stage::new().await;
    let endpoint = stage
        .backend(|stream| async move {
            let mut peer = Peer::new(stream);
            let head = peer.head().await;
            assert_eq!(field(&head, "transfer-encoding"), Some("chunked"));
            peer.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").await;
            for number in ["1", "2", "3"] {
                let piece = peer.until(&format!("{number}\r\n")).await;
                let piece = piece.split("\r\n").nth(1).unwrap().to_owned();
                peer.send(&format!("{:x}\r\n{piece}\r\n", piece.len())).await;
            }
            peer.until("0\r\n\r\n").await;
            peer.send("0\r\n\r\n").await;
            assert!(peer.is_closed().await);
        })
        .await;
    stage.shop(endpoint).await;
    let mut client = stage.client().await;
    client.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n").await;
    client.head().await;
    for number in ["1", "2", "3"] {
        client.send(&format!("5\r\npart{number}\r\n")).await;
        assert_eq!(client.until(&format!("part{number}\r\n")).await, format!("5\r\npart{number}\r\n"));
    }
    client.send("0\r\n\r\n").await;
    client.until("0\r\n\r\n").await;
}

#[tokio::test]
async fn large_bodies_pass_unchanged_both_ways_on_one_connection() {
    let stage = Stage::new().await;
    let endpoint = stage
        .backend(|stream| async move {
            let mut peer = Peer::new(stream);
            while let Some(head) = peer.find("\r\n\r\n").await {
                let length: usize = field(&head, "content-length").unwrap().parse().unwrap();
                let mut body = peer.until("END").await;
                assert_eq!(body.len(), length);
                body.insert_str(0, "back:");
                peer.send(&format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len())).await;
            }
        })
        .await;
    stage.shop(endpoint).await;
    let mut client = stage.client().await;
    for size in [0, 1, 5_000, 3_000_000] {
        let body = format!("{}END", "x".repeat(size));
        let request = format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        client.send(&request).await;
        let (head, returned) = client.response().await;
        assert!(head.starts_with("HTTP/1.1 200 ") && returned == format!("back:{body}"), "{size}");
    }
}

#[tokio::test]
async fn a_client_that_does_not_read_holds_the_backend_back() {
    const PIECE: usize = 64 * 1024;
    let stage = Stage::new().await;
    let written = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&written);
    let endpoint = stage
        .backend(move |stream| {
            let counter = Arc::clone(&counter);
            async move {
                let mut peer = Peer::new(stream);
                peer.head().await;
                peer.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").await;
                let chunk = format!("{PIECE:x}\r\n{}\r\n", "x".repeat(PIECE));
                while peer.stream.write_all(chunk.as_bytes()).await.is_ok() {
                    counter.fetch_add(PIECE, Ordering::SeqCst);
                }
            }
        })
        .await;
    stage.shop(endpoint).await;
    let mut client = stage.client().await;
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    client.head().await;
    // The sockets' buffers fill, then nothing moves: the same count for a while.
    let (mut last, mut same) = (0, 0);
    eventually("the backend stands still", || {
        let now = written.load(Ordering::SeqCst);
        same = if now == last && now > 0 { same + 1 } else { 0 };
        last = now;
        same > 200
    })
    .await;
    assert!(last < 64 << 20, "{last} bytes went somewhere");
    drop(client);
    eventually("the backend hears that the client left", || stage.router.instances()[0].in_flight == 0).await;
}

#[tokio::test]
async fn trailers_pass_both_ways() {
    let stage = Stage::new().await;
    let endpoint = stage
        .backend(|stream| async move {
            let mut peer = Peer::new(stream);
            let head = peer.head().await;
            assert_eq!((field(&head, "te"), field(&head, "trailer")), (Some("trailers"), Some("x-sum")));
            let body = peer.until("\r\n\r\n").await;
            assert!(body.ends_with("0\r\nx-sum: 5\r\n\r\n"), "{body:?}");
            peer.send(
                "HTTP/1.1 200 OK\r\nTrailer: x-sum\r\nTransfer-Encoding: chunked\r\n\r\n\
                 2\r\nok\r\n0\r\nX-Sum: 6\r\nContent-Length: 9\r\n\r\n",
            )
            .await;
        })
        .await;
    stage.shop(endpoint).await;
    let mut client = stage.client().await;
    let request = "POST / HTTP/1.1\r\nHost: a\r\nTE: trailers\r\nTrailer: x-sum\r\nTransfer-Encoding: chunked\r\n\r\n\
                   5\r\nhello\r\n0\r\nX-Sum: 5\r\nContent-Length: 9\r\n\r\n";
    client.send(request).await;
    let head = client.head().await;
    assert_eq!(field(&head, "trailer"), Some("x-sum"));
    assert_eq!(client.until("\r\n\r\n").await, "2\r\nok\r\n0\r\nx-sum: 6\r\n\r\n");
}

#[tokio::test]
async fn a_body_that_breaks_off_never_looks_complete() {
    for response in [
        "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\npart",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\npart\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\npart\r\nnonsense\r\n",
    ] {
        let stage = Stage::new().await;
        let endpoint = stage
            .backend(move |stream| async move {
                let mut peer = Peer::new(stream);
                peer.head().await;
                peer.send(response).await;
            })
            .await;
        stage.shop(endpoint).await;
        let got = stage.ask("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
        // When all comes at once the client may not even get the header.
        assert!(got.is_empty() || (got.contains("part") && !got.ends_with("0\r\n\r\n")), "{got}");
    }
}

#[tokio::test]
async fn a_body_that_ends_with_the_connection_is_complete() {
    let stage = Stage::new().await;
    let endpoint = stage
        .backend(|stream| async move {
            let mut peer = Peer::new(stream);
            peer.head().await;
            peer.send("HTTP/1.0 200 OK\r\n\r\nall of it").await;
        })
        .await;
    stage.shop(endpoint).await;
    let got = stage.get("a", "/").await;
    assert!(got.contains("all of it") && got.ends_with("0\r\n\r\n"), "{got}");
}

#[tokio::test]
async fn the_backend_decides_whether_the_body_is_sent() {
    let stage = Stage::new().await;
    let endpoint = stage
        .backend(|stream| async move {
            let mut peer = Peer::new(stream);
            let head = peer.head().await;
            assert_eq!(field(&head, "expect"), Some("100-continue"));
            if head.starts_with("POST /no ") {
                peer.send("HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\n\r\n").await;
                assert!(peer.is_closed().await, "the body was sent all the same");
            } else {
                peer.send("HTTP/1.1 100 Continue\r\n\r\n").await;
                peer.until("hello").await;
                peer.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
            }
        })
        .await;
    stage.shop(endpoint).await;
    let request = |path| {
        format!("POST {path} HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n")
    };
    let mut client = stage.client().await;
    client.send(&request("/no")).await;
    let head = client.head().await;
    assert!(head.starts_with("HTTP/1.1 413 "), "{head}");
    let mut client = stage.client().await;
    client.send(&request("/yes")).await;
    assert_eq!(client.head().await, "HTTP/1.1 100 Continue\r\n\r\n");
    client.send("hello").await;
    assert_eq!(client.response().await.1, "ok");
}
