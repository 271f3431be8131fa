//! What a backend gets to see of a request, and a client of a response.

use kogge_router::RouterConfig;

use crate::stage::{Peer, Stage, field, mirror};

/// The header as the backend got it.
async fn forwarded(config: RouterConfig, request: &str) -> String {
    let stage = Stage::with(config).await;
    stage.shop(stage.backend(mirror).await).await;
    let mut client = stage.client().await;
    client.send(request).await;
    let (head, body) = client.response().await;
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    body
}

#[tokio::test]
async fn the_backend_hears_who_asked_and_how() {
    let seen = forwarded(
        RouterConfig::default(),
        "GET /a%2Fb/../c?d=%20 HTTP/1.1\r\nHost: Shop.localhost:8080\r\nX-Custom: 1\r\nX-Custom: 2\r\n\
         X-Forwarded-For: 6.6.6.6\r\nX_Forwarded_For: 6.6.6.6\r\nX-Real-IP: 6.6.6.6\r\nForwarded: for=6.6.6.6\r\n\
         X-Forwarded-Proto: https\r\nX-Request-Id: bad id\r\nProxy: evil\r\nCookie: a=1\r\n\r\n",
    )
    .await;
    assert!(seen.starts_with("GET /a%2Fb/../c?d=%20 HTTP/1.1\r\nhost: Shop.localhost:8080\r\n"), "{seen}");
    assert_eq!(field(&seen, "x-forwarded-for"), Some("127.0.0.1"));
    assert_eq!(field(&seen, "x-forwarded-proto"), Some("http"));
    assert_eq!(field(&seen, "x-forwarded-host"), Some("Shop.localhost:8080"));
    assert!(field(&seen, "x-forwarded-port").unwrap().parse::<u16>().is_ok());
    assert_eq!(field(&seen, "x-request-id").unwrap().len(), 32);
    assert!(seen.contains("x-custom: 1\r\nx-custom: 2\r\n") && seen.contains("cookie: a=1\r\n"));
    assert!(!seen.contains("6.6.6.6") && !seen.contains("evil"), "{seen}");
}

#[tokio::test]
async fn a_trusted_proxy_in_front_is_believed() {
    let config =
        RouterConfig { trusted_proxies: vec!["127.0.0.0/8".parse().unwrap()], ..RouterConfig::default() };
    let seen = forwarded(
        config,
        "GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 6.6.6.6\r\nX-Forwarded-Proto: https\r\n\
         X-Request-Id: from-front\r\n\r\n",
    )
    .await;
    assert_eq!(field(&seen, "x-forwarded-for"), Some("6.6.6.6, 127.0.0.1"));
    assert_eq!(field(&seen, "x-forwarded-proto"), Some("https"));
    assert_eq!(field(&seen, "x-request-id"), Some("from-front"));
}

#[tokio::test]
async fn fields_for_this_hop_stay_here() {
    let seen = forwarded(
        RouterConfig::default(),
        "GET / HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, X-Hop, X-Forwarded-For, Host\r\nX-Hop: 1\r\n\
         Keep-Alive: timeout=5\r\nProxy-Connection: x\r\nProxy-Authorization: secret\r\nTE: gzip, trailers\r\n\
         HTTP2-Settings: x\r\nUpgrade: h2c\r\n\r\n",
    )
    .await;
    for name in ["connection", "x-hop", "keep-alive", "proxy-connection", "proxy-authorization", "upgrade"] {
        assert_eq!(field(&seen, name), None, "{seen}");
    }
    assert_eq!((field(&seen, "te"), field(&seen, "host")), (Some("trailers"), Some("a")));
    assert_eq!(
        field(&seen, "x-forwarded-for"),
        Some("127.0.0.1"),
        "a client cannot have our fields taken out"
    );
}

#[tokio::test]
async fn an_absolute_target_overrules_the_host_header() {
    let seen = forwarded(RouterConfig::default(), "GET http://b.x/p HTTP/1.1\r\nHost: a.x\r\n\r\n").await;
    assert!(seen.starts_with("GET /p HTTP/1.1\r\nhost: b.x\r\n"), "{seen}");
    assert_eq!(seen.matches("host: ").count(), 2, "host and x-forwarded-host");
    let seen = forwarded(RouterConfig::default(), "OPTIONS * HTTP/1.1\r\nHost: a.x\r\n\r\n").await;
    assert!(seen.starts_with("OPTIONS * HTTP/1.1\r\n"), "{seen}");
}

/// RFC 9112 §6.1: with both, the length does not count, and the connection ends after the response.
#[tokio::test]
async fn a_request_with_length_and_chunks_is_passed_on_in_one_reading_only() {
    for order in
        ["Content-Length: 4\r\nTransfer-Encoding: chunked", "Transfer-Encoding: chunked\r\nContent-Length: 4"]
    {
        let stage = Stage::new().await;
        let endpoint = stage
            .backend(|stream| async move {
                let mut peer = Peer::new(stream);
                let head = peer.head().await;
                let body = peer.until("0\r\n\r\n").await;
                let seen = format!("{head}{body}");
                let length = seen.len();
                peer.send(&format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{seen}")).await;
                assert!(peer.is_closed().await, "a second request came out of the first one's body");
            })
            .await;
        stage.shop(endpoint).await;
        let smuggled = "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n";
        let length = smuggled.len();
        let request = format!(
            "POST / HTTP/1.1\r\nHost: a\r\n{order}\r\n\r\n{length:x}\r\n{smuggled}\r\n0\r\n\r\nGET /next HTTP/1.1\r\nHost: a\r\n\r\n"
        );
        let response = stage.ask(&request).await;
        assert_eq!(response.matches("HTTP/1.1 200 OK").count(), 1, "{response}");
        let seen = response.split_once("\r\n\r\n").unwrap().1;
        assert_eq!(
            (field(seen, "content-length"), field(seen, "transfer-encoding")),
            (None, Some("chunked"))
        );
        assert!(seen.contains(smuggled) && !response.contains("/next"), "{response}");
    }
}

#[tokio::test]
async fn responses_without_a_body_keep_their_meaning() {
    let stage = Stage::new().await;
    let endpoint = stage
        .backend(|stream| async move {
            let mut peer = Peer::new(stream);
            while let Some(head) = peer.find("\r\n\r\n").await {
                let path = head.split(' ').nth(1).unwrap().to_owned();
                peer.send(match path.as_str() {
                    "/head" => {
                        "HTTP/1.1 200 OK\r\nContent-Length: 1234\r\nConnection: X-Hop\r\nX-Hop: 1\r\n\r\n"
                    }
                    "/204" => "HTTP/1.1 204 No Content\r\nContent-Length: 7\r\n\r\n",
                    "/304" => "HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\nETag: \"x\"\r\n\r\n",
                    "/103" => {
                        "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n\
                         HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
                    }
                    _ => "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
                })
                .await;
            }
        })
        .await;
    stage.shop(endpoint).await;
    let mut client = stage.client().await;
    client.send("HEAD /head HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let head = client.head().await;
    assert!(head.starts_with("HTTP/1.1 200 ") && field(&head, "content-length") == Some("1234"), "{head}");
    assert_eq!((field(&head, "x-hop"), field(&head, "connection")), (None, None));
    client.send("GET /204 HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let head = client.head().await;
    assert!(head.starts_with("HTTP/1.1 204 ") && field(&head, "content-length").is_none(), "{head}");
    client.send("GET /304 HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let head = client.head().await;
    assert!(head.starts_with("HTTP/1.1 304 ") && field(&head, "etag") == Some("\"x\""), "{head}");
    client.send("GET /103 HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let (head, body) = client.response().await;
    assert!(head.starts_with("HTTP/1.1 200 ") && field(&head, "link").is_none() && body == "ok", "{head}");
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let (head, body) = client.response().await;
    assert!(field(&head, "content-length") == Some("0") && body.is_empty(), "{head}");
}

#[tokio::test]
async fn old_clients_and_pipelining_ones_are_served() {
    let stage = Stage::new().await;
    stage.shop(stage.backend(mirror).await).await;
    let old = stage.ask("GET /old HTTP/1.0\r\nHost: a\r\n\r\n").await;
    assert!(old.contains("GET /old HTTP/1.1\r\n"), "{old}");
    let mut client = stage.client().await;
    client.send(&"GET /p HTTP/1.1\r\nHost: a\r\n\r\n".repeat(10)).await;
    for _ in 0..10 {
        assert!(client.response().await.1.starts_with("GET /p "));
    }
}
