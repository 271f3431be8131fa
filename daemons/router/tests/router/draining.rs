//! Instances that leave, and a router that ends.

use std::time::Duration;

use kogge_discovery::InstanceState;
use kogge_model::id::RunId;
use tokio::net::TcpStream;

use crate::stage::{Peer, Stage, always, eventually, soon};

/// A backend whose requests finish when the test says so: each one on `release`.
async fn slow(stage: &Stage, release: &std::sync::Arc<tokio::sync::Semaphore>) -> std::net::SocketAddr {
    let release = release.clone();
    stage
        .backend(move |stream| {
            let release = release.clone();
            async move {
                let mut peer = Peer::new(stream);
                while peer.find("\r\n\r\n").await.is_some() {
                    release.acquire().await.unwrap().forget();
                    peer.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nslow").await;
                }
            }
        })
        .await
}

#[tokio::test]
async fn a_draining_instance_finishes_its_requests_and_gets_no_new_one() {
    let stage = Stage::new().await;
    let release = std::sync::Arc::new(tokio::sync::Semaphore::new(0));
    let old = stage.shop(slow(&stage, &release).await).await;
    let mut waiting = stage.client().await;
    waiting.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    eventually("the request is under way", || stage.router.instances()[0].in_flight == 1).await;

    stage.add("shop", stage.backend(|stream| always(stream, "new")).await).await;
    let generation = stage.set(old, InstanceState::Draining).await;
    for _ in 0..10 {
        assert!(stage.get("a", "/").await.ends_with("new"));
    }
    let of_old = stage.router.instances().into_iter().find(|instance| instance.run == old).unwrap();
    assert_eq!((of_old.in_flight, of_old.is_retired), (1, true));
    let mut drained = Box::pin(stage.router.drained(generation, old));
    assert!(tokio::time::timeout(Duration::from_millis(50), &mut drained).await.is_err());
    release.add_permits(1);
    assert_eq!(waiting.response().await.1, "slow");
    soon(drained).await;
    soon(stage.router.drained(generation, RunId(999))).await;
}

#[tokio::test]
async fn an_instance_that_comes_back_is_the_same_with_its_requests() {
    let stage = Stage::new().await;
    let release = std::sync::Arc::new(tokio::sync::Semaphore::new(0));
    let run = stage.shop(slow(&stage, &release).await).await;
    let mut waiting = stage.client().await;
    waiting.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    eventually("the request is under way", || stage.router.instances()[0].in_flight == 1).await;
    stage.set(run, InstanceState::Draining).await;
    assert!(stage.get("a", "/").await.starts_with("HTTP/1.1 503 "));
    stage.set(run, InstanceState::Healthy).await;
    let instances = stage.router.instances();
    assert_eq!((instances.len(), instances[0].in_flight, instances[0].is_retired), (1, 1, false));
    release.add_permits(2);
    assert_eq!(waiting.response().await.1, "slow");
    assert!(stage.get("a", "/").await.ends_with("slow"));
}

#[tokio::test]
async fn unused_connections_to_an_instance_that_left_are_closed() {
    let stage = Stage::new().await;
    let (closed, mut was_closed) = tokio::sync::mpsc::channel(1);
    let endpoint = stage
        .backend(move |stream| {
            let closed = closed.clone();
            async move {
                always(stream, "ok").await;
                closed.send(()).await.unwrap();
            }
        })
        .await;
    let run = stage.shop(endpoint).await;
    assert!(stage.get("a", "/").await.ends_with("ok"));
    assert!(was_closed.try_recv().is_err(), "the connection is kept while the instance serves");
    stage.set(run, InstanceState::Draining).await;
    soon(was_closed.recv()).await.unwrap();
    eventually("it is forgotten", || stage.router.instances().len() <= 1).await;
}

#[tokio::test]
async fn if_all_instances_fail_their_checks_the_last_ones_go_on() {
    let stage = Stage::new().await;
    let run = stage.shop(stage.backend(|stream| always(stream, "ok")).await).await;
    stage.set(run, InstanceState::Unhealthy).await;
    assert!(stage.get("a", "/").await.ends_with("ok"));
}

#[tokio::test]
async fn a_router_that_ends_finishes_its_requests_and_takes_no_connection() {
    let stage = Stage::new().await;
    let release = std::sync::Arc::new(tokio::sync::Semaphore::new(0));
    stage.shop(slow(&stage, &release).await).await;
    let mut waiting = stage.client().await;
    waiting.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let mut idle = stage.client().await;
    eventually("the request is under way", || stage.router.instances()[0].in_flight == 1).await;
    let router = stage.router.clone();
    let ending = stage.group.spawn("ending", kogge_host::tasks::OnPanic::Log, async move {
        router.shutdown(Duration::from_secs(10)).await
    });
    assert!(idle.is_closed().await);
    eventually("the door is shut", || std::net::TcpStream::connect(stage.address).is_err()).await;
    assert!(!ending.is_finished());
    release.add_permits(1);
    let (head, body) = waiting.response().await;
    assert!(body == "slow" && head.contains("connection: close"), "{head}");
    assert_eq!(soon(ending).await.unwrap().unwrap(), Vec::<String>::new());
    assert_eq!(stage.router.connections(), 0);
}

#[tokio::test]
async fn a_request_that_does_not_end_is_cut_off_at_the_deadline() {
    let stage = Stage::new().await;
    let release = std::sync::Arc::new(tokio::sync::Semaphore::new(0));
    stage.shop(slow(&stage, &release).await).await;
    let mut waiting = stage.client().await;
    waiting.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    eventually("the request is under way", || stage.router.instances()[0].in_flight == 1).await;
    assert_eq!(stage.router.shutdown(Duration::from_millis(50)).await, ["client"]);
    assert!(waiting.is_closed().await);
    assert!(TcpStream::connect(stage.address).await.is_err());
}
