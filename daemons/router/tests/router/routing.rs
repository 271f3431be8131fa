//! Which service a request gets to, and what is said when there is none.

use crate::stage::{Stage, always, field, nobody};

#[tokio::test]
async fn host_and_path_choose_the_service() {
    let stage = Stage::new().await;
    for (host, path, service) in [
        (Some("shop.localhost"), "/", "shop"),
        (Some("shop.localhost"), "/api", "api"),
        (Some("*.example.org"), "/", "wild"),
        (Some("a.example.org"), "/", "exact"),
    ] {
        stage.route(host, path, service).await;
    }
    for (service, body) in [("shop", "shop"), ("api", "api"), ("wild", "wild"), ("exact", "exact")] {
        let endpoint = stage.backend(move |stream| always(stream, body)).await;
        stage.add(service, endpoint).await;
    }
    for (host, path, service) in [
        ("shop.localhost", "/", "shop"),
        ("SHOP.localhost:8080", "/apix", "shop"),
        ("shop.localhost.", "/api/x?y", "api"),
        ("shop.localhost", "/api?y", "api"),
        ("a.example.org", "/", "exact"),
        ("b.example.org", "/", "wild"),
    ] {
        let response = stage.get(host, path).await;
        assert!(response.ends_with(&format!("\r\n\r\n{service}")), "{host}{path}: {response}");
    }
    for host in ["example.org", "a.b.example.org", "localhost"] {
        assert!(stage.get(host, "/").await.starts_with("HTTP/1.1 404 "), "{host}");
    }
    assert_eq!(stage.router.unrouted_requests(), 3);
}

#[tokio::test]
async fn an_unknown_host_is_a_404_that_says_why_and_carries_the_request_id() {
    let stage = Stage::new().await;
    let text = stage.get("nope.localhost", "/x").await;
    assert!(text.starts_with("HTTP/1.1 404 Not Found\r\n"), "{text}");
    let id = field(&text, "x-request-id").unwrap();
    assert_eq!((id.len(), field(&text, "x-kogge-error")), (32, Some("no-route")));
    assert!(text.contains("no service is routed at nope.localhost/x\n"), "{text}");
    assert!(text.contains("hint: ") && text.contains(&format!("request id: {id}\n")), "{text}");

    let request = "GET /a&b HTTP/1.1\r\nHost: nope\r\nAccept: text/html\r\nX-Request-Id: my-id\r\nConnection: close\r\n\r\n";
    let html = stage.ask(request).await;
    assert_eq!(field(&html, "content-type"), Some("text/html; charset=utf-8"));
    assert!(html.contains("<code>my-id</code>") && html.contains("nope/a&amp;b"), "{html}");
}

#[tokio::test]
async fn a_known_service_without_an_instance_is_a_503_with_its_reason() {
    let stage = Stage::new().await;
    stage.route(Some("shop.localhost"), "/", "shop").await;
    let text = stage.get("shop.localhost", "/").await;
    assert!(text.starts_with("HTTP/1.1 503 "), "{text}");
    let why = "no instance of shop can answer: starting: waiting for health check GET /health\n";
    assert!(text.contains(why) && text.contains("kogge why shop"), "{text}");
    assert_eq!((field(&text, "retry-after"), field(&text, "x-kogge-error")), (Some("1"), Some("no-backend")));
    let (_, reading) = stage.router.traffic().remove(0);
    assert_eq!((reading.by_class, reading.router_errors), ([0, 0, 0, 0, 1], 1));
}

#[tokio::test]
async fn requests_that_cannot_be_routed_safely_are_refused() {
    let stage = Stage::new().await;
    stage.shop(nobody().await).await;
    for (request, status) in [
        ("GET / HTTP/1.1\r\nConnection: close\r\n\r\n", "400"),
        ("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\nConnection: close\r\n\r\n", "400"),
        ("GET / HTTP/1.1\r\nHost: a b\r\nConnection: close\r\n\r\n", "400"),
        ("GET / HTTP/1.1\r\nHost: a/b\r\nConnection: close\r\n\r\n", "400"),
        ("CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\nConnection: close\r\n\r\n", "405"),
        ("GET / HTTP/1.1\r\nHost : a\r\n\r\n", "400"),
        ("GET / HTTP/1.1\r\n Host: a\r\n\r\n", "400"),
        ("GET / HTTP/1.1\r\nHost: a\r\nX: b\r\n folded\r\n\r\n", "400"),
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", "400"),
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +1\r\n\r\n", "400"),
        ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n", "400"),
        ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, gzip\r\n\r\n", "400"),
        ("POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", "400"),
        ("GET / HTTP/9.9\r\nHost: a\r\n\r\n", "400"),
    ] {
        let response = stage.ask(request).await;
        assert!(response.starts_with(&format!("HTTP/1.1 {status} ")), "{request:?}: {response}");
    }
}
