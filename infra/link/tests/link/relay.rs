//! A way to a server that can be spoiled.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use kogge_host::listener;
use kogge_host::tasks::{OnPanic, TaskGroup};
use kogge_link::ServerAddress;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// A way through the relay.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Way {
    ToServer,
    ToAgent,
}

/// What is carried.
#[derive(Clone)]
struct Open {
    /// Anything at all.
    is_open: watch::Receiver<bool>,
    /// At once, each way, in bytes.
    widest: Arc<[AtomicUsize; 2]>,
}

/// Carries bytes to a server until it is told to stop; then it keeps all connections and carries nothing.
pub(crate) struct Relay {
    pub(crate) address: ServerAddress,
    /// Of the connections that come from now on.
    is_open: Arc<Mutex<watch::Sender<bool>>>,
    widest: Arc<[AtomicUsize; 2]>,
    door: TaskGroup,
    group: TaskGroup,
}

impl Relay {
    pub(crate) fn to(server: SocketAddr) -> Self {
        let socket = listener::bind("relay", ([127, 0, 0, 1], 0).into()).unwrap();
        let address = ServerAddress::from(socket.local_addr().unwrap());
        let (door, group) = (TaskGroup::new("relay's door"), TaskGroup::new("relay"));
        let is_open = Arc::new(Mutex::new(watch::Sender::new(true)));
        let widest = Arc::new([const { AtomicUsize::new(usize::MAX) }; 2]);
        let accepting = accept(socket, server, (Arc::clone(&is_open), Arc::clone(&widest)), group.clone());
        door.spawn("relay", OnPanic::StopGroup, accepting);
        Self { address, is_open, widest, door, group }
    }

    /// Keeps all connections and carries nothing on them, nor on those to come.
    pub(crate) fn cut(&self) {
        self.is_open.lock().unwrap().send_replace(false);
    }

    /// The same, but for those to come.
    pub(crate) fn cut_those_there(&self) {
        let there = std::mem::replace(&mut *self.is_open.lock().unwrap(), watch::Sender::new(true));
        there.send_replace(false);
        // Its end would open them again.
        std::mem::forget(there);
    }

    /// Carries no more than so many bytes at once, on all connections: after more, one carries nothing any more that way.
    pub(crate) fn narrow(&self, way: Way, bytes: usize) {
        self.widest[way as usize].store(bytes, Ordering::SeqCst);
    }

    /// Refuses connections; those there go on.
    pub(crate) async fn close_the_door(&self) {
        self.door.shutdown(Duration::ZERO).await;
    }

    pub(crate) async fn end(self) {
        self.door.shutdown(Duration::ZERO).await;
        self.group.shutdown(Duration::ZERO).await;
    }
}

async fn accept(
    socket: TcpListener,
    server: SocketAddr,
    (is_open, widest): (Arc<Mutex<watch::Sender<bool>>>, Arc<[AtomicUsize; 2]>),
    group: TaskGroup,
) {
    while let Ok((near, _)) = socket.accept().await {
        let (near_in, near_out) = near.into_split();
        let (far_in, far_out) = TcpStream::connect(server).await.unwrap().into_split();
        let open = Open { is_open: is_open.lock().unwrap().subscribe(), widest: Arc::clone(&widest) };
        group.spawn("there", OnPanic::Log, carry(near_in, far_out, Way::ToServer, open.clone()));
        group.spawn("back", OnPanic::Log, carry(far_in, near_out, Way::ToAgent, open));
    }
}

async fn carry(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, way: Way, mut open: Open) {
    let mut bytes = vec![0; 16_384];
    loop {
        let count = from.read(&mut bytes).await.unwrap_or(0);
        let _ = open.is_open.wait_for(|is_open| *is_open).await;
        if count > open.widest[way as usize].load(Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
        if count == 0 || to.write_all(&bytes[..count]).await.is_err() {
            return;
        }
    }
}
