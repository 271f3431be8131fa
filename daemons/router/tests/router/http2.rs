//! HTTP/2 by prior knowledge in front, HTTP/1.1 behind.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode, Version};
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::client::conn::http2::SendRequest;
use hyper_util::rt::TokioIo;
use kogge_host::tasks::{OnPanic, TaskGroup};
use kogge_router::RouterConfig;

use crate::stage::{Peer, Stage, always, field, mirror, soon};

type Body = http_body_util::combinators::BoxBody<Bytes, std::convert::Infallible>;

#[derive(Clone)]
struct Spawn(TaskGroup);

impl<F> hyper::rt::Executor<F> for Spawn
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    fn execute(&self, task: F) {
        drop(self.0.spawn("h2", OnPanic::Log, task));
    }
}

async fn connect(stage: &Stage) -> SendRequest<Body> {
    let stream = tokio::net::TcpStream::connect(stage.address).await.unwrap();
    let spawn = Spawn(stage.group.clone());
    let (sender, connection) =
        hyper::client::conn::http2::handshake(spawn, TokioIo::new(stream)).await.unwrap();
    stage.spawn(async move { _ = connection.await });
    sender
}

fn get(uri: &str) -> Request<Body> {
    Request::get(uri).body(Full::default().boxed()).unwrap()
}

async fn text(response: Response<Incoming>) -> String {
    let body = soon(response.into_body().collect()).await.unwrap().to_bytes();
    String::from_utf8(body.to_vec()).unwrap()
}

#[tokio::test]
async fn streams_share_a_connection() {
    let stage = Stage::new().await;
    stage.route(Some("a.localhost"), "/", "shop").await;
    stage.add("shop", stage.backend(mirror).await).await;
    let mut sender = connect(&stage).await;
    let mut answers = Vec::new();
    for number in 0..50 {
        let mut request = get(&format!("http://a.localhost/{number}"));
        request.headers_mut().append("cookie", "a=1".parse().unwrap());
        request.headers_mut().append("cookie", "b=2".parse().unwrap());
        answers.push(sender.send_request(request));
    }
    for (number, answer) in answers.into_iter().enumerate() {
        let response = soon(answer).await.unwrap();
        assert_eq!((response.version(), response.status()), (Version::HTTP_2, StatusCode::OK));
        let seen = text(response).await;
        assert!(seen.starts_with(&format!("GET /{number} HTTP/1.1\r\nhost: a.localhost\r\n")), "{seen}");
        assert_eq!(field(&seen, "cookie"), Some("a=1; b=2"));
    }
    assert_eq!(stage.router.connections(), 1);
    let missing = soon(sender.send_request(get("http://b.localhost/"))).await.unwrap();
    assert_eq!(missing.status(), StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn bodies_and_trailers_pass_as_grpc_needs_them() {
    let stage = Stage::new().await;
    let endpoint = stage
        .backend(|stream| async move {
            let mut peer = Peer::new(stream);
            let head = peer.head().await;
            assert_eq!(
                (field(&head, "te"), field(&head, "transfer-encoding")),
                (Some("trailers"), Some("chunked"))
            );
            let body = peer.until("x-end: 1\r\n\r\n").await;
            assert!(body.contains("hello"), "{body}");
            peer.send(
                "HTTP/1.1 200 OK\r\nTrailer: grpc-status\r\nTransfer-Encoding: chunked\r\n\r\n\
                 2\r\nok\r\n0\r\ngrpc-status: 0\r\n\r\n",
            )
            .await;
        })
        .await;
    stage.shop(endpoint).await;
    let mut trailers = HeaderMap::new();
    trailers.insert("x-end", "1".parse().unwrap());
    let frames = [Frame::data(Bytes::from_static(b"hello")), Frame::trailers(trailers)];
    let body = StreamBody::new(futures_util::stream::iter(frames.map(Ok))).boxed();
    let request = Request::post("http://a/").header("te", "trailers").body(body).unwrap();
    let response = soon(connect(&stage).await.send_request(request)).await.unwrap();
    let collected = soon(response.into_body().collect()).await.unwrap();
    assert_eq!(collected.trailers().unwrap()["grpc-status"], "0");
    assert_eq!(collected.to_bytes(), "ok");
}

#[tokio::test]
async fn a_stream_without_an_answer_times_out_alone() {
    let config = RouterConfig { response_timeout: Duration::from_millis(200), ..RouterConfig::default() };
    let stage = Stage::with(config).await;
    stage.route(None, "/", "shop").await;
    stage.route(None, "/hang", "hang").await;
    stage.add("shop", stage.backend(|stream| always(stream, "ok")).await).await;
    let hang = stage.backend(|stream| async move { drop(Peer::new(stream).rest().await) }).await;
    stage.add("hang", hang).await;
    let mut sender = connect(&stage).await;
    let hanging = sender.send_request(get("http://a/hang"));
    assert_eq!(text(soon(sender.send_request(get("http://a/"))).await.unwrap()).await, "ok");
    assert_eq!(soon(hanging).await.unwrap().status(), StatusCode::GATEWAY_TIMEOUT);
    assert_eq!(text(soon(sender.send_request(get("http://a/"))).await.unwrap()).await, "ok");
}
