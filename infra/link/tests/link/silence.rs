//! Networks that swallow everything without a word.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use kogge_host::listener;
use kogge_host::tasks::{OnPanic, TaskGroup};
use kogge_link::{DialerConfig, LinkState, ListenerConfig, ServerAddress, Timing};
use kogge_model::id::AgentId;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use super::bed::{Agent, Cluster, order, soon, timing, until};

/// Carries bytes to a server until it is told to stop; then it keeps all connections and carries nothing.
struct Relay {
    address: ServerAddress,
    is_open: Arc<watch::Sender<bool>>,
    group: TaskGroup,
}

impl Relay {
    fn to(server: SocketAddr) -> Self {
        let socket = listener::bind("relay", ([127, 0, 0, 1], 0).into()).unwrap();
        let address = ServerAddress::from(socket.local_addr().unwrap());
        let group = TaskGroup::new("relay");
        let is_open = Arc::new(watch::Sender::new(true));
        let accepting = accept(socket, server, Arc::clone(&is_open), group.clone());
        group.spawn("relay", OnPanic::StopGroup, accepting);
        Self { address, is_open, group }
    }
}

async fn accept(
    socket: TcpListener,
    server: SocketAddr,
    is_open: Arc<watch::Sender<bool>>,
    group: TaskGroup,
) {
    while let Ok((near, _)) = socket.accept().await {
        let (near_in, near_out) = near.into_split();
        let (far_in, far_out) = TcpStream::connect(server).await.unwrap().into_split();
        group.spawn("there", OnPanic::Log, carry(near_in, far_out, is_open.subscribe()));
        group.spawn("back", OnPanic::Log, carry(far_in, near_out, is_open.subscribe()));
    }
}

async fn carry(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut is_open: watch::Receiver<bool>) {
    let mut bytes = vec![0; 16_384];
    loop {
        let count = from.read(&mut bytes).await.unwrap_or(0);
        let _ = is_open.wait_for(|is_open| *is_open).await;
        if count == 0 || to.write_all(&bytes[..count]).await.is_err() {
            return;
        }
    }
}

fn quick() -> Timing {
    Timing {
        keepalive: Duration::from_millis(200),
        keepalive_timeout: Duration::from_millis(400),
        keepalive_patience: Duration::from_millis(400),
        answer: Duration::from_secs(1),
        handshake: Duration::from_secs(1),
        ..timing()
    }
}

#[tokio::test]
async fn a_silent_server_is_left_for_another_one() {
    let north = Cluster::new("north");
    let (one, two) = (north.server(), north.server());
    let relay = Relay::to(one.handle.address());
    one.servers.send_replace(vec![relay.address.clone(), two.address.clone()]);
    let config = DialerConfig {
        timing: quick(),
        ..DialerConfig::new(north.member("a1"), vec![relay.address.clone()], "1")
    };
    let mut agent = Agent::start_with(config);
    agent.connected().await;
    let cut = Instant::now();
    relay.is_open.send_replace(false);
    let is_with_two = |state: &LinkState| state.server() == Some(&two.address);
    until(&mut agent.state, is_with_two).await;
    assert!(cut.elapsed() > Duration::from_millis(400), "nobody said that the connection was cut");
    two.handle.send(&AgentId::new("a1"), order(1));
    assert_eq!(agent.order().await, order(1));
    relay.group.shutdown(Duration::ZERO).await;
}

#[tokio::test]
async fn a_silent_agent_loses_its_place() {
    let north = Cluster::new("north");
    let server = north.server_with(ListenerConfig { timing: quick(), ..Cluster::config() }, None);
    let relay = Relay::to(server.handle.address());
    let config = DialerConfig::new(north.member("a1"), vec![relay.address.clone()], "1");
    let mut agent = Agent::start_with(config);
    agent.connected().await;
    relay.is_open.send_replace(false);
    let gone = async {
        while !server.handle.connected().is_empty() {
            tokio::task::yield_now().await;
        }
    };
    soon("the session's end", gone).await;
    relay.group.shutdown(Duration::ZERO).await;
}

#[tokio::test]
async fn an_identity_moves_at_once_to_a_new_process_when_the_old_one_is_cut_off() {
    let north = Cluster::new("north");
    let server = north.server();
    let relay = Relay::to(server.handle.address());
    let identity = north.member("a1");
    let config = DialerConfig {
        timing: timing(),
        ..DialerConfig::new(identity.clone(), vec![relay.address.clone()], "1")
    };
    let mut old = Agent::start_with(config);
    old.connected().await;
    relay.is_open.send_replace(false);
    // The keep-alive of neither side has noticed anything yet: only the question to the old one tells.
    let mut new = Agent::start(identity, &[&server]);
    new.connected().await;
    assert!(north.presence.impostors.lock().unwrap().is_empty());
    assert_eq!(*north.presence.events.lock().unwrap(), ["a1 came", "a1 came"]);
    server.handle.send(&AgentId::new("a1"), order(1));
    assert_eq!(new.order().await, order(1));
    relay.group.shutdown(Duration::ZERO).await;
}
