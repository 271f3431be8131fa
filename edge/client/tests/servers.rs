//! A client that knows several servers: whom it asks next, and when it must not.

#![expect(clippy::unwrap_used, reason = "a test fails where it stands")]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use kogge_client::{Client, ClientError, InvalidApi};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

const GOOD: &str = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n[]";

fn away(kind: &str) -> String {
    let body = format!(r#"{{"type":"urn:kogge:problem:{kind}","detail":"not now"}}"#);
    let length = body.len();
    format!(
        "HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/problem+json\r\n\
         Content-Length: {length}\r\n\r\n{body}"
    )
}

/// A server that always says the same, and counts how often it was asked.
struct Parrot {
    api: String,
    asked: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl Parrot {
    async fn saying(answer: impl Into<Vec<u8>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let api = format!("http://{}", listener.local_addr().unwrap());
        let (answer, asked) = (answer.into(), Arc::new(AtomicUsize::new(0)));
        let count = Arc::clone(&asked);
        #[expect(clippy::disallowed_methods, reason = "it is aborted when the test drops it")]
        let task = tokio::spawn(async move {
            loop {
                let (mut socket, _) = listener.accept().await.unwrap();
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    match socket.read_u8().await {
                        Ok(byte) => head.push(byte),
                        Err(_) => break,
                    }
                }
                count.fetch_add(1, Ordering::SeqCst);
                socket.write_all(&answer).await.unwrap();
            }
        });
        Self { api, asked, task }
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

impl Drop for Parrot {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn nobody() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    format!("http://{}", listener.local_addr().unwrap())
}

fn client(apis: &[&str]) -> Client {
    Client::new(&apis.join(",")).unwrap()
}

#[tokio::test]
async fn a_server_that_is_gone_is_passed_over_and_the_good_one_remembered() {
    let good = Parrot::saying(GOOD).await;
    let client = client(&[&nobody().await, &good.api]);
    assert_eq!(client.nodes().await.unwrap(), []);
    assert_eq!(client.api(), good.api);
    assert_eq!(client.clone().nodes().await.unwrap(), []);
    assert_eq!(good.asked(), 2);
}

#[tokio::test]
async fn a_look_goes_on_to_the_next_server_but_a_change_that_may_be_done_does_not() {
    let (away, good) = (Parrot::saying(away("unavailable")).await, Parrot::saying(GOOD).await);
    assert_eq!(client(&[&away.api, &good.api]).nodes().await.unwrap(), []);
    assert_eq!((away.asked(), good.asked()), (1, 1));
    let error = client(&[&away.api, &good.api]).stop(vec!["shop".into()], false).await.unwrap_err();
    assert!(matches!(error, ClientError::Refused(_)), "{error:?}");
    assert_eq!((away.asked(), good.asked()), (2, 1), "the change may have had its effect");
}

#[tokio::test]
async fn a_change_goes_on_when_the_server_says_that_another_must_do_it() {
    let (standby, leader) = (Parrot::saying(away("not-leader")).await, Parrot::saying(GOOD).await);
    let client = client(&[&standby.api, &leader.api]);
    let error = client.stop(vec!["shop".into()], false).await.unwrap_err();
    // The leader was asked; what it says is no change's answer.
    assert!(matches!(error, ClientError::Malformed { .. }), "{error:?}");
    assert_eq!((standby.asked(), leader.asked()), (1, 1));
}

#[tokio::test]
async fn a_connection_that_breaks_ends_a_change_but_not_a_look() {
    let (broken, good) = (Parrot::saying("").await, Parrot::saying(GOOD).await);
    assert_eq!(client(&[&broken.api, &good.api]).nodes().await.unwrap(), []);
    let error = client(&[&broken.api, &good.api]).stop(vec!["shop".into()], false).await.unwrap_err();
    assert!(error.to_string().ends_with("whether it was done is not known"), "{error}");
    assert_eq!(good.asked(), 1);
}

#[tokio::test]
async fn when_all_are_gone_each_is_named_with_its_reason() {
    let (one, two) = (nobody().await, nobody().await);
    let error = client(&[&one, &two]).nodes().await.unwrap_err();
    assert!(error.is_gone() && error.hint().is_some(), "{error:?}");
    let told = error.to_string();
    assert!(told.contains(&one) && told.contains(&two) && told.contains("refused"), "{told}");
}

#[tokio::test]
async fn what_one_server_says_counts_more_than_the_silence_of_the_others() {
    let away = Parrot::saying(away("unavailable")).await;
    let error = client(&[&nobody().await, &away.api]).nodes().await.unwrap_err();
    assert_eq!(error.to_string(), "not now");
}

#[test]
fn tls_needs_a_token() {
    let error = Client::new("https://127.0.0.1:7400").unwrap_err();
    assert!(matches!(error, InvalidApi::NoToken { .. }) && error.hint().contains("kogge token create"));
}
