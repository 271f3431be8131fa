//! A router with its table, and the people around it.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use kogge_discovery::{Discovery, Instance, InstanceState, Route, RoutingTable};
use kogge_host::tasks::{OnPanic, TaskGroup};
use kogge_model::id::{AgentId, Generation, RunId, TaskId};
use kogge_model::name::{InstanceId, ServiceId};
use kogge_model::reason::Reason;
use kogge_model::service::RouteSpec;
use kogge_router::{Router, RouterConfig};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// No wait in these tests is longer.
pub(crate) const LIMIT: Duration = Duration::from_secs(20);

/// Everything one test needs; ends with it.
pub(crate) struct Stage {
    pub(crate) router: Router,
    pub(crate) group: TaskGroup,
    pub(crate) address: SocketAddr,
    tables: watch::Sender<Arc<RoutingTable>>,
    desired: Mutex<Desired>,
}

struct Desired {
    discovery: Discovery,
    routes: Vec<Route>,
    next_run: u64,
}

impl Stage {
    pub(crate) async fn new() -> Self {
        Self::with(RouterConfig::default()).await
    }

    pub(crate) async fn with(config: RouterConfig) -> Self {
        let group = TaskGroup::new("test");
        let (tables, receiver) = watch::channel(Arc::default());
        let router = Router::start(&group, config, receiver).unwrap();
        let listener = kogge_host::listener::bind("router_http", loopback()).unwrap();
        let address = listener.local_addr().unwrap();
        router.serve(listener);
        let desired = Desired { discovery: Discovery::new(Generation(0)), routes: Vec::new(), next_run: 1 };
        Self { router, group, address, tables, desired: Mutex::new(desired) }
    }

    /// Routes `host` and `path` to `service`.
    pub(crate) async fn route(&self, host: Option<&str>, path: &str, service: &str) {
        let spec = RouteSpec { host: host.map(str::to_owned), path: path.to_owned() };
        let id: ServiceId = service.parse().unwrap();
        self.change(|desired| {
            let why = Reason::new("starting: waiting for health check GET /health");
            desired.discovery.catalog_mut().declare(&id, why);
            desired.routes.push(Route::declared(&id, &spec).unwrap());
            desired.discovery.set_routes(desired.routes.clone());
        })
        .await;
    }

    /// Adds a healthy instance of `service`.
    pub(crate) async fn add(&self, service: &str, endpoint: SocketAddr) -> RunId {
        let mut added = RunId(0);
        self.change(|desired| added = desired.add(service, endpoint)).await;
        added
    }

    pub(crate) async fn set(&self, run: RunId, state: InstanceState) -> Generation {
        self.change(|desired| assert!(desired.discovery.catalog_mut().set_state(run, state))).await
    }

    /// A service `shop` on every host, with one instance.
    pub(crate) async fn shop(&self, endpoint: SocketAddr) -> RunId {
        self.route(None, "/", "shop").await;
        self.add("shop", endpoint).await
    }

    /// Changes what is desired and waits until the router obeys.
    async fn change(&self, change: impl FnOnce(&mut Desired)) -> Generation {
        let generation = self.change_at_once(change);
        eventually("the table is in force", || self.router.generation() >= generation).await;
        generation
    }

    fn change_at_once(&self, change: impl FnOnce(&mut Desired)) -> Generation {
        let mut desired = self.desired.lock().unwrap();
        change(&mut desired);
        desired.discovery.refresh();
        let table = Arc::clone(desired.discovery.table());
        let generation = table.generation();
        self.tables.send_replace(table);
        generation
    }

    /// Publishes a table with these instances and no others.
    pub(crate) fn replace_all(&self, service: &str, endpoints: &[SocketAddr]) -> (Generation, Vec<RunId>) {
        let id: ServiceId = service.parse().unwrap();
        let mut runs = Vec::new();
        let generation = self.change_at_once(|desired| {
            let catalog = desired.discovery.catalog_mut();
            let old: Vec<RunId> =
                catalog.service(&id).unwrap().instances().map(|instance| instance.run).collect();
            runs = endpoints.iter().map(|&endpoint| desired.add(service, endpoint)).collect();
            old.into_iter().for_each(|run| assert!(desired.discovery.catalog_mut().end(run)));
        });
        (generation, runs)
    }

    /// Publishes tables in which the same instances come and go.
    pub(crate) fn set_at_once(&self, run: RunId, state: InstanceState) -> Generation {
        self.change_at_once(|desired| _ = desired.discovery.catalog_mut().set_state(run, state))
    }

    /// Starts a backend that hands each connection to `script`.
    pub(crate) async fn backend<F, R>(&self, script: F) -> SocketAddr
    where
        F: Fn(TcpStream) -> R + Send + 'static,
        R: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind(loopback()).await.unwrap();
        let address = listener.local_addr().unwrap();
        let group = self.group.clone();
        self.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                drop(group.spawn("connection", OnPanic::Log, script(stream)));
            }
        });
        address
    }

    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        drop(self.group.spawn("test", OnPanic::Log, task));
    }

    /// A new connection to the router.
    pub(crate) async fn client(&self) -> Peer {
        Peer::new(TcpStream::connect(self.address).await.unwrap())
    }

    /// Sends one request on a connection of its own, and returns all that comes back.
    pub(crate) async fn ask(&self, request: &str) -> String {
        let mut client = self.client().await;
        client.send(request).await;
        client.rest().await
    }

    /// A simple GET.
    pub(crate) async fn get(&self, host: &str, path: &str) -> String {
        self.ask(&format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n")).await
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.group.token().cancel();
    }
}

impl Desired {
    fn add(&mut self, service: &str, endpoint: SocketAddr) -> RunId {
        let run = RunId(self.next_run);
        self.next_run += 1;
        let instance = Instance {
            instance: InstanceId { service: service.parse().unwrap(), number: u32::try_from(run.0).unwrap() },
            task: TaskId::new(format!("{service}.{run}")),
            run,
            agent: AgentId::new("local"),
            endpoint,
            state: InstanceState::Healthy,
            version: String::new(),
        };
        self.discovery.catalog_mut().record(instance);
        run
    }
}

pub(crate) fn loopback() -> SocketAddr {
    ([127, 0, 0, 1], 0).into()
}

/// An address nobody listens on.
pub(crate) async fn nobody() -> SocketAddr {
    TcpListener::bind(loopback()).await.unwrap().local_addr().unwrap()
}

/// Waits until `is_so`.
pub(crate) async fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let end = tokio::time::Instant::now() + LIMIT;
    while !is_so() {
        assert!(tokio::time::Instant::now() < end, "not in time: {what}");
        tokio::task::yield_now().await;
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// Waits for `future`, but not for ever.
pub(crate) async fn soon<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(LIMIT, future).await.expect("nothing here takes that long")
}

/// One end of a raw connection.
pub(crate) struct Peer {
    pub(crate) stream: TcpStream,
    read: Vec<u8>,
}

impl Peer {
    pub(crate) fn new(stream: TcpStream) -> Self {
        stream.set_nodelay(true).unwrap();
        Self { stream, read: Vec::new() }
    }

    pub(crate) async fn send(&mut self, bytes: &str) {
        soon(self.stream.write_all(bytes.as_bytes())).await.unwrap();
    }

    /// Everything up to and with `mark`.
    pub(crate) async fn until(&mut self, mark: &str) -> String {
        let found = self.find(mark).await;
        found.unwrap_or_else(|| panic!("closed before {mark:?}: {:?}", String::from_utf8_lossy(&self.read)))
    }

    /// As [`Peer::until`]; none when the other side closes first.
    pub(crate) async fn find(&mut self, mark: &str) -> Option<String> {
        loop {
            if let Some(at) = self.read.windows(mark.len()).position(|part| part == mark.as_bytes()) {
                let taken = self.read.drain(..at + mark.len()).collect();
                return Some(String::from_utf8(taken).unwrap());
            }
            if soon(self.stream.read_buf(&mut self.read)).await.ok()? == 0 {
                return None;
            }
        }
    }

    /// A header with its empty line.
    pub(crate) async fn head(&mut self) -> String {
        self.until("\r\n\r\n").await
    }

    /// A response whose length is told.
    pub(crate) async fn response(&mut self) -> (String, String) {
        let head = self.head().await;
        let length = field(&head, "content-length").map_or(0, |length| length.parse().unwrap());
        while self.read.len() < length {
            assert!(soon(self.stream.read_buf(&mut self.read)).await.unwrap() > 0, "closed within a body");
        }
        let body = self.read.drain(..length).collect();
        (head, String::from_utf8(body).unwrap())
    }

    /// Everything until the other side closes or breaks off.
    pub(crate) async fn rest(&mut self) -> String {
        while soon(self.stream.read_buf(&mut self.read)).await.is_ok_and(|count| count > 0) {}
        String::from_utf8(std::mem::take(&mut self.read)).unwrap()
    }

    /// Whether the other side has closed and said nothing more.
    pub(crate) async fn is_closed(&mut self) -> bool {
        self.rest().await.is_empty()
    }
}

/// The value of a field of a header.
pub(crate) fn field<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    let lines = head.lines().skip(1).take_while(|line| !line.is_empty());
    lines
        .filter_map(|line| line.split_once(':'))
        .find_map(|(key, value)| key.eq_ignore_ascii_case(name).then(|| value.trim()))
}

/// A backend's life: answers each request on `stream` with `body`.
pub(crate) async fn always(stream: TcpStream, body: &'static str) {
    let mut peer = Peer::new(stream);
    while peer.find("\r\n\r\n").await.is_some() {
        let length = body.len();
        let response = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{body}");
        if peer.stream.write_all(response.as_bytes()).await.is_err() {
            return;
        }
    }
}

/// A backend's life: answers each request with the header it got.
pub(crate) async fn mirror(stream: TcpStream) {
    let mut peer = Peer::new(stream);
    while let Some(head) = peer.find("\r\n\r\n").await {
        let length = head.len();
        peer.send(&format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{head}")).await;
    }
}
