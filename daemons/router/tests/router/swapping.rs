//! Changing routes and instances under load loses no request (G17).

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use kogge_discovery::InstanceState;
use kogge_host::tasks::{OnPanic, TaskGroup};
use tokio::net::TcpListener;

use crate::stage::{Stage, eventually, loopback, soon};

/// A hyper server as apps have them; ends at once when it is told, as a killed process does.
struct App {
    address: SocketAddr,
    group: TaskGroup,
}

impl App {
    async fn start() -> Self {
        let listener = TcpListener::bind(loopback()).await.unwrap();
        let address = listener.local_addr().unwrap();
        let group = TaskGroup::new("app");
        let connections = group.clone();
        drop(group.spawn("accept", OnPanic::Log, async move {
            while let Ok((stream, _)) = listener.accept().await {
                let connection = hyper::server::conn::http1::Builder::new()
                    .serve_connection(TokioIo::new(stream), service_fn(answer));
                drop(connections.spawn("connection", OnPanic::Log, async move { _ = connection.await }));
            }
        }));
        Self { address, group }
    }

    /// Cuts every connection and closes the door.
    async fn kill(self) {
        self.group.shutdown(Duration::ZERO).await;
    }
}

async fn answer(_: Request<hyper::body::Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    // Some work, so that a request is often under way when its instance leaves.
    tokio::time::sleep(Duration::from_millis(1)).await;
    Ok(Response::new(Full::from("ok")))
}

/// Clients that ask without pause until told to stop.
struct Load {
    is_over: Arc<AtomicBool>,
    done: Arc<AtomicU64>,
    failed: Arc<AtomicU64>,
    group: TaskGroup,
}

impl Load {
    fn start(address: SocketAddr, clients: usize) -> Self {
        let load = Self {
            is_over: Arc::default(),
            done: Arc::default(),
            failed: Arc::default(),
            group: TaskGroup::new("load"),
        };
        for number in 0..clients {
            let (is_over, done, failed) =
                (Arc::clone(&load.is_over), Arc::clone(&load.done), Arc::clone(&load.failed));
            // Requests that the router may not send twice are the harder half.
            let request = if number % 2 == 0 {
                "GET / HTTP/1.1\r\nHost: a\r\n\r\n"
            } else {
                "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi"
            };
            drop(load.group.spawn("client", OnPanic::Log, async move {
                let connect = || async {
                    crate::stage::Peer::new(tokio::net::TcpStream::connect(address).await.unwrap())
                };
                let mut client = connect().await;
                while !is_over.load(Ordering::Relaxed) {
                    client.send(request).await;
                    let (head, body) = client.response().await;
                    if head.starts_with("HTTP/1.1 200 ") && body == "ok" {
                        done.fetch_add(1, Ordering::Relaxed);
                    } else {
                        failed.fetch_add(1, Ordering::Relaxed);
                    }
                }
            }));
        }
        load
    }

    async fn more(&self, count: u64) {
        let goal = self.done.load(Ordering::Relaxed) + count;
        eventually("requests go on", || self.done.load(Ordering::Relaxed) >= goal).await;
    }

    /// Answered and failed requests.
    async fn stop(self) -> (u64, u64) {
        self.is_over.store(true, Ordering::Relaxed);
        assert_eq!(self.group.shutdown(Duration::from_secs(20)).await, Vec::<String>::new());
        (self.done.load(Ordering::Relaxed), self.failed.load(Ordering::Relaxed))
    }
}

/// Replaces all instances `rounds` times. Old ones are killed once drained, or without asking.
async fn replace_instances(rounds: usize, waits_for_drain: bool) -> (u64, u64) {
    let stage = Stage::new().await;
    stage.route(None, "/", "shop").await;
    let mut apps = vec![App::start().await, App::start().await];
    let addresses: Vec<SocketAddr> = apps.iter().map(|app| app.address).collect();
    let (_, mut runs) = stage.replace_all("shop", &addresses);
    eventually("the first table is in force", || stage.router.instances().len() == 2).await;
    let load = Load::start(stage.address, 16);
    for _ in 0..rounds {
        load.more(20).await;
        let next = vec![App::start().await, App::start().await];
        let addresses: Vec<SocketAddr> = next.iter().map(|app| app.address).collect();
        let (generation, next_runs) = stage.replace_all("shop", &addresses);
        for (app, run) in std::mem::replace(&mut apps, next).into_iter().zip(runs) {
            if waits_for_drain {
                soon(stage.router.drained(generation, run)).await;
            }
            app.kill().await;
        }
        runs = next_runs;
    }
    load.more(20).await;
    let counts = load.stop().await;
    for app in apps {
        app.kill().await;
    }
    counts
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn replacing_all_instances_under_load_fails_no_request() {
    let (done, failed) = replace_instances(100, true).await;
    assert_eq!(failed, 0, "of {done}");
    assert!(done > 2_000);
}

/// The negative control: were the router to call an instance drained too early, the test above would see it.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn killing_instances_before_they_are_drained_fails_requests() {
    let (done, failed) = replace_instances(20, false).await;
    assert!(failed > 0, "none of {done}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn thousands_of_tables_under_load_fail_no_request() {
    let stage = Stage::new().await;
    stage.route(None, "/", "shop").await;
    let apps = [App::start().await, App::start().await, App::start().await];
    let mut runs = Vec::new();
    for app in &apps {
        runs.push(stage.add("shop", app.address).await);
    }
    let load = Load::start(stage.address, 16);
    let mut generation = stage.router.generation();
    for round in 0..5_000 {
        // One instance is always out; which one changes.
        generation = stage.set_at_once(runs[round % 3], InstanceState::Draining);
        generation = generation.max(stage.set_at_once(runs[(round + 2) % 3], InstanceState::Healthy));
        tokio::task::yield_now().await;
        if round % 100 == 0 {
            load.more(10).await;
        }
    }
    eventually("the last table is in force", || stage.router.generation() == generation).await;
    let (done, failed) = load.stop().await;
    assert_eq!(failed, 0, "of {done}");
    assert!(done >= 500 && generation.0 > 9_000, "{done} {generation}");
    let serving = stage.router.instances().into_iter().filter(|instance| !instance.is_retired).count();
    assert_eq!(serving, 2);
    for app in apps {
        app.kill().await;
    }
}
