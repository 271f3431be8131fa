//! What no handler gets to see.

use crate::cloud::TestCloud;

#[tokio::test]
async fn only_names_of_loopback_and_own_pages_get_in() {
    let cloud = TestCloud::start().await;
    let own = cloud.address;
    for (headers, status) in [
        (format!("Host: {own}\r\n"), 200),
        (format!("Host: localhost:{}\r\nOrigin: http://localhost:{}\r\n", own.port(), own.port()), 200),
        (format!("Host: evil.example:{}\r\n", own.port()), 421),
        (format!("Host: {own}\r\nOrigin: http://evil.example\r\n"), 403),
        (format!("Host: {own}\r\nSec-Fetch-Site: cross-site\r\n"), 403),
    ] {
        for path in ["/api/v1/status", "/metrics", "/healthz", "/api/openapi.json"] {
            let answer =
                cloud.raw(&format!("GET {path} HTTP/1.1\r\n{headers}Connection: close\r\n\r\n")).await;
            assert_eq!(answer.status, status, "{path} with {headers}: {answer:?}");
        }
    }
    cloud.end().await;
}

#[tokio::test]
async fn malformed_requests_are_told_from_wrong_ones() {
    let cloud = TestCloud::start().await;
    let own = cloud.address;
    let post = async |media_type: &str, body: &str| {
        let length = body.len();
        let request = format!(
            "POST /api/v1/apps HTTP/1.1\r\nHost: {own}\r\nConnection: close\r\nContent-Type: {media_type}\r\n\
             Content-Length: {length}\r\n\r\n{body}"
        );
        cloud.raw(&request).await
    };
    let json = "application/json";
    assert_eq!(post(json, "{").await.status, 400);
    assert_eq!(post("text/plain", r#"{"name":"shop"}"#).await.status, 415);
    let unknown = post(json, r#"{"name":"shop","colour":"red"}"#).await;
    assert_eq!((unknown.status, unknown.faults()), (422, vec!["colour".to_owned()]));
    assert_eq!(post(json, &format!(r#"{{"name":"{}"}}"#, "x".repeat(2 << 20))).await.status, 413);
    let query = cloud.call("GET /api/v1/instances", &[], "?every=true", None).await;
    assert_eq!((query.status, query.json()["title"].as_str()), (400, Some("the request cannot be read")));
    cloud.end().await;
}

#[tokio::test]
async fn paths_and_methods_that_lead_nowhere_say_so() {
    let cloud = TestCloud::start().await;
    let nowhere = cloud.call("GET /api/v1/nowhere", &[], "", None).await;
    assert_eq!((nowhere.status, nowhere.json()["status"].as_u64()), (404, Some(404)));
    let method = cloud.call("DELETE /api/v1/status", &[], "", None).await;
    assert_eq!(
        (method.status, method.json()["type"].as_str()),
        (405, Some("urn:kogge:problem:method-not-allowed"))
    );
    cloud.end().await;
}

/// Whoever is not on this machine has no name here yet.
#[tokio::test]
async fn callers_from_elsewhere_are_refused() {
    use axum::extract::ConnectInfo;
    use futures_util::future::ready;
    use http::{Request, header};
    use std::net::SocketAddr;

    let router = kogge_api::guard(axum::Router::new().route("/", axum::routing::get(|| ready("in"))));
    let ask = async |peer: Option<&str>| {
        let mut request =
            Request::get("/").header(header::HOST, "localhost").body(axum::body::Body::empty()).unwrap();
        if let Some(peer) = peer {
            request.extensions_mut().insert(ConnectInfo(peer.parse::<SocketAddr>().unwrap()));
        }
        tower::ServiceExt::oneshot(router.clone(), request).await.unwrap().status().as_u16()
    };
    assert_eq!(ask(Some("127.0.0.1:9")).await, 200);
    assert_eq!(ask(Some("[::ffff:127.0.0.1]:9")).await, 200);
    assert_eq!(ask(Some("10.0.0.1:9")).await, 403);
    assert_eq!(ask(None).await, 403);
}
