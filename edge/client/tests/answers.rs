//! What the client makes of answers, good and bad: a server that says word for word what the test wants.

#![expect(clippy::unwrap_used, reason = "a test fails where it stands")]

use std::net::SocketAddr;

use kogge_client::{Client, ClientError};
use kogge_model::view::exec::{ExecOutput, ExecRequest};
use kogge_model::view::{EventKind, LogQuery};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// Answers one request with these bytes and closes; tells the request's head.
async fn say(answer: impl Into<Vec<u8>>) -> (Client, JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let answer = answer.into();
    #[expect(
        clippy::disallowed_methods,
        reason = "the test waits for it, or it ends with the test's runtime"
    )]
    let server = tokio::spawn(async move {
        let (mut socket, _) = listener.accept().await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(socket.read_u8().await.unwrap());
        }
        socket.write_all(&answer).await.unwrap();
        String::from_utf8(head).unwrap()
    });
    (client(address), server)
}

fn client(address: SocketAddr) -> Client {
    Client::new(&format!("http://{address}/")).unwrap()
}

fn json(status: &str, media_type: &str, body: &str) -> String {
    let length = body.len();
    format!("HTTP/1.1 {status}\r\nContent-Type: {media_type}\r\nContent-Length: {length}\r\n\r\n{body}")
}

#[tokio::test]
async fn a_request_says_who_asks_for_what() {
    let (client, server) = say(json("200 OK", "application/json", "[]")).await;
    assert_eq!(client.instances(Some("shop/worker"), true).await.unwrap(), []);
    let head = server.await.unwrap().to_lowercase();
    assert!(head.starts_with("get /api/v1/instances?all=true&of=shop%2fworker http/1.1\r\n"), "{head}");
    assert!(head.contains("\r\nhost: 127.0.0.1:") && head.contains("\r\nuser-agent: kogge/"), "{head}");
}

#[tokio::test]
async fn a_problem_document_becomes_a_refusal_with_its_hint() {
    let body = r#"{"title":"t","detail":"two fields break rules","hint":"look here",
        "faults":[{"field":"a","rule":"is odd"},{"field":"b","rule":"is even"}]}"#;
    let (client, _server) = say(json("422 Unprocessable Entity", "application/problem+json", body)).await;
    let error = client.create_app("shop", false).await.unwrap_err();
    assert_eq!(error.to_string(), "two fields break rules\n  a: is odd\n  b: is even");
    assert_eq!(error.hint().as_deref(), Some("look here"));
    let not_found = json("404 Not Found", "application/problem+json", "{}");
    assert!(say(not_found).await.0.app("shop").await.unwrap_err().is_not_found());
}

#[tokio::test]
async fn something_that_is_not_the_api_is_told_apart() {
    let (client, _server) = say(json("404 Not Found", "text/html", "<h1>nginx</h1>\nmore")).await;
    let error = client.status().await.unwrap_err();
    assert!(matches!(error, ClientError::Foreign { status: 404, .. }), "{error:?}");
    assert!(error.to_string().ends_with(": <h1>nginx</h1>") && !error.is_not_found(), "{error}");
    let (client, _server) = say(json("200 OK", "application/json", "{}")).await;
    assert!(matches!(client.status().await, Err(ClientError::Malformed { .. })));
}

#[tokio::test]
async fn a_broken_connection_leaves_the_outcome_of_a_change_open() {
    let torn = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{";
    let (client, _server) = say(torn).await;
    let error = client.stop(vec!["shop".into()], false).await.unwrap_err();
    assert!(error.to_string().ends_with("whether it was done is not known"), "{error}");
    let (client, _server) = say(torn).await;
    let error = client.services().await.unwrap_err();
    assert!(matches!(error, ClientError::Broken { .. }), "{error:?}");
    assert!(!error.to_string().contains("not known"), "{error}");
}

#[tokio::test]
async fn nobody_there_is_told_with_a_way_out() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let error = client(address).status().await.unwrap_err();
    assert!(error.is_gone(), "{error:?}");
    assert!(error.hint().unwrap().contains("kogge up"), "{error}");
}

const LINES: &str = "HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\nConnection: close\r\n\r\n";

fn line(text: &str) -> String {
    format!(
        r#"{{"at":"2026-11-21T14:45:47.123Z","service":"s","instance":"s.1","task":"t","stream":"stdout","text":"{text}"}}"#
    )
}

#[tokio::test]
async fn lines_come_until_the_end_and_empty_ones_mean_nothing() {
    let body = format!("{LINES}\n{}\n\n\n{}", line("one"), line("without an end"));
    let (client, _server) = say(body).await;
    let mut feed = client.logs(&LogQuery::default()).await.unwrap();
    for text in ["one", "without an end"] {
        assert_eq!(feed.next().await.unwrap().unwrap().text, text);
    }
    assert!(feed.next().await.unwrap().is_none());
}

#[tokio::test]
async fn a_problem_or_nonsense_among_the_lines_ends_them() {
    let problem = r#"{"problem":{"detail":"the agent is gone","status":503}}"#;
    let (client, _server) = say(format!("{LINES}{}\n{problem}\n", line("one"))).await;
    let mut feed = client.logs(&LogQuery::default()).await.unwrap();
    feed.next().await.unwrap().unwrap();
    assert_eq!(feed.next().await.unwrap_err().to_string(), "the agent is gone");

    let (client, _server) = say(format!("{LINES}no json\n")).await;
    let error = client.logs(&LogQuery::default()).await.unwrap().next().await.unwrap_err();
    assert!(matches!(error, ClientError::Malformed { .. }), "{error:?}");

    let (client, _server) = say(format!("{LINES}{}", "x".repeat(3 << 20))).await;
    let error = client.logs(&LogQuery::default()).await.unwrap().next().await.unwrap_err();
    assert!(matches!(error, ClientError::TooLong { .. }), "{error:?}");
}

#[tokio::test]
async fn events_are_put_together_from_their_lines() {
    let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n";
    let body = "event: task\r\nid: 7\r\ndata: {\"sequence\":7,\"at\":\"2026-11-21T14:45:47Z\",\r\n\
                data: \"kind\":\"task\",\"text\":\"hello.1 runs\"}\r\n\r\n";
    let (client, server) =
        say(format!("{head}: hello\r\n\r\n{body}: still here\r\n\r\nevent: cut\r\n")).await;
    let mut feed = client.events().await.unwrap();
    let event = feed.next().await.unwrap().unwrap();
    assert_eq!((event.sequence, event.kind, event.text.as_str()), (7, EventKind::Task, "hello.1 runs"));
    assert!(feed.next().await.unwrap().is_none());
    assert!(server.await.unwrap().contains("accept: text/event-stream"));
}

const SWITCH: &str = "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: ";

#[tokio::test]
async fn a_lost_exec_connection_is_no_exit_code() {
    let wish = ExecRequest { argv: vec!["sh".into()], ..ExecRequest::default() };
    let mut answer = format!("{SWITCH}kogge-exec/1\r\n\r\n").into_bytes();
    answer.extend_from_slice(b"\x04\x00\x00\x00\x02hi\x06\x00\x00");
    let (client, server) = say(answer).await;
    let (_sender, mut receiver) = client.exec("s.1", &wish).await.unwrap();
    assert_eq!(receiver.next().await.unwrap(), Some(ExecOutput::Stdout(b"hi".to_vec())));
    // The server closes in the middle of a frame; with our request unread that may be a reset.
    assert!(matches!(receiver.next().await, Err(ClientError::ExecLost(_))));
    assert!(server.await.unwrap().to_lowercase().contains("upgrade: kogge-exec/1"));

    let (client, _server) = say(format!("{SWITCH}websocket\r\n\r\n")).await;
    assert!(matches!(client.exec("s.1", &wish).await.err(), Some(ClientError::Foreign { status: 101, .. })));
}
