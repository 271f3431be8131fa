//! Many agents on one server, in this process: how long until all are connected, what they take, how fast they talk.
//!
//! `cargo run --release --package kogge-link --example many_agents -- 1000`

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "an example fails by panicking and prints figures"
)]

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use kogge_host::tasks::{OnPanic, TaskGroup};
use kogge_host::{clock, listener};
use kogge_link::identity::{Authority, Identity, Lifetime, Peer, PrivateKey, Role};
use kogge_link::{
    Blob, Blobs, Dialed, DialerConfig, DialerPorts, ExecLine, Gate, Impostor, JoinRefused, Joining, Keeper,
    Leader, LinkState, ListenerConfig, ListenerPorts, LogBatches, LogWish, Notes, Presence, ServerAddress,
    TaskDoor, Tunnels, dial, listen,
};
use kogge_model::digest::Digest;
use kogge_model::id::{AgentId, ClusterId, TaskId};
use kogge_model::link::{FromAgent, ToControl};
use kogge_model::reason::Reason;
use kogge_model::view::exec::ExecRequest;
use tokio::sync::{mpsc, watch};

/// Neither side has anything but its link.
struct Nothing;

impl Gate for Nothing {
    fn redeem(&self, _joining: Joining) -> BoxFuture<'_, Result<(), JoinRefused>> {
        Box::pin(async { Ok(()) })
    }

    fn admit(&self, _agent: &AgentId, _key: Digest) -> Result<(), Reason> {
        Ok(())
    }
}

impl Presence for Nothing {
    fn opened(&self, _agent: &AgentId, _from: SocketAddr) {}
    fn closed(&self, _agent: &AgentId) {}
    fn sent_on(&self, _agent: &AgentId) {}
    fn cloned(&self, _impostor: &Impostor) {}
}

impl Notes for Nothing {
    fn heard(&self, _agent: &AgentId, _note: Bytes) {}
    fn gone(&self, _agent: &AgentId) {}
}

impl Tunnels for Nothing {
    fn opened(&self, _server: &str, _stream: tokio::io::DuplexStream) {}
}

impl Blobs for Nothing {
    fn open(&self, digest: Digest, _offset: u64) -> BoxFuture<'_, Result<Blob, Reason>> {
        Box::pin(async move { Err(Reason::new(format!("{digest} is not here"))) })
    }
}

impl Keeper for Nothing {
    fn keep_identity<'a>(&'a self, _identity: &'a Identity) -> BoxFuture<'a, Result<(), Reason>> {
        Box::pin(async { Ok(()) })
    }

    fn keep_servers<'a>(&'a self, _servers: &'a [ServerAddress]) -> BoxFuture<'a, Result<(), Reason>> {
        Box::pin(async { Ok(()) })
    }
}

impl TaskDoor for Nothing {
    fn logs(&self, _tasks: Vec<TaskId>, _wish: LogWish) -> BoxFuture<'_, Result<LogBatches, Reason>> {
        Box::pin(async { Err("no tasks".into()) })
    }

    fn exec(&self, _task: TaskId, _request: ExecRequest) -> BoxFuture<'_, Result<ExecLine, Reason>> {
        Box::pin(async { Err("no tasks".into()) })
    }

    fn stats(&self, _task: TaskId) -> BoxFuture<'_, Result<serde_json::Value, Reason>> {
        Box::pin(async { Err("no tasks".into()) })
    }
}

fn main() {
    let agents: u32 = std::env::args().nth(1).map_or(200, |count| count.parse().unwrap());
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(run(agents));
}

async fn run(agents: u32) {
    let cluster = ClusterId::new("many");
    let authority = Arc::new(Authority::create(&cluster, clock::now()).unwrap());
    let group = TaskGroup::new("many agents");
    let (sender, incoming) = mpsc::channel(1_024);
    let (_leader, leader) = watch::channel(Leader::Here);
    let (servers, listed) = watch::channel(Vec::new());
    let ports = ListenerPorts {
        gate: Arc::new(Nothing),
        signer: authority.clone(),
        leader,
        servers: listed,
        blobs: Arc::new(Nothing),
        presence: Arc::new(Nothing),
        bulletin: watch::channel(Bytes::new()).1,
        notes: Arc::new(Nothing),
        tunnels: Arc::new(Nothing),
        incoming: sender,
    };
    let socket = listener::bind("agents", ([127, 0, 0, 1], 0).into()).unwrap();
    let server = listen(socket, ListenerConfig::new("s1", "1"), ports, &group).unwrap();
    let address = ServerAddress::from(server.address());
    servers.send_replace(vec![address.clone()]);
    let before = resident_bytes();

    let begun = Instant::now();
    let mut links: Vec<Dialed> =
        (0..agents).map(|number| start(&authority, &cluster, number, &address, &group)).collect();
    for link in &mut links {
        let mut state = link.handle.state();
        state.wait_for(|state| matches!(state, LinkState::Connected { .. })).await.unwrap();
    }
    let connected = begun.elapsed();
    let each = (resident_bytes() - before) / u64::from(agents) / 1_024;
    println!("{agents} agents connected in {connected:?}, both ends of a link take {each} KiB");
    println!("{:.0} reports per second", talk(&links, incoming, &group).await);
    server.shutdown(Duration::from_secs(10)).await;
    group.shutdown(Duration::from_secs(10)).await;
}

fn start(
    authority: &Authority,
    cluster: &ClusterId,
    number: u32,
    address: &ServerAddress,
    group: &TaskGroup,
) -> Dialed {
    let key = PrivateKey::generate().unwrap();
    let peer = Peer::new(cluster.clone(), Role::Agent, format!("a{number}")).unwrap();
    let request = key.signing_request().unwrap();
    let certificate = authority.issue(&request, &peer, clock::now(), Lifetime::default()).unwrap();
    let identity = Identity::new(key, certificate, authority.certificate().clone()).unwrap();
    let ports = DialerPorts {
        tasks: Arc::new(Nothing),
        note: watch::channel(Bytes::new()).1,
        keeper: Arc::new(Nothing),
    };
    dial(DialerConfig::new(identity, vec![address.clone()], "1"), ports, group).unwrap()
}

/// Everybody talks as fast as they can, for a while.
async fn talk(links: &[Dialed], mut incoming: mpsc::Receiver<FromAgent>, group: &TaskGroup) -> f64 {
    for link in links {
        let (to_control, agent) = (link.to_control.clone(), link.handle.identity());
        let agent = agent.certificate().peer().agent().unwrap();
        let alive = FromAgent { agent, body: ToControl::Heartbeat };
        let token = group.token();
        group.spawn("talker", OnPanic::Log, async move {
            let talking = async { while to_control.send(alive.clone()).await.is_ok() {} };
            tokio::select! { () = talking => {}, () = token.cancelled() => {} }
        });
    }
    let begun = Instant::now();
    let mut heard = 0_u32;
    while begun.elapsed() < Duration::from_secs(3) {
        incoming.recv().await.unwrap();
        heard += 1;
    }
    f64::from(heard) / begun.elapsed().as_secs_f64()
}

fn resident_bytes() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    statm.split(' ').nth(1).unwrap().parse::<u64>().unwrap() * 4_096
}
