//! A wire that can be cut: forwards TCP to a member until it is told not to.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use kogge_host::tasks::{OnPanic, TaskGroup};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

use super::super::config::Endpoint;

/// See the module. Ends when dropped.
pub(super) struct Proxy {
    address: SocketAddr,
    tasks: TaskGroup,
    wires: Arc<Wires>,
}

#[derive(Default)]
struct Wires {
    cut: Mutex<CancellationToken>,
    open: AtomicUsize,
}

impl Proxy {
    pub(super) async fn to(target: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, tasks, wires) =
            (listener.local_addr().unwrap(), TaskGroup::new("proxy"), Arc::new(Wires::default()));
        let (group, shared) = (tasks.clone(), Arc::clone(&wires));
        tasks.spawn("listener", OnPanic::Log, async move {
            let token = group.token();
            loop {
                let inward = tokio::select! {
                    accepted = listener.accept() => accepted.unwrap().0,
                    () = token.cancelled() => return,
                };
                let cut = shared.cut.lock().unwrap().clone();
                let wires = Arc::clone(&shared);
                group.spawn("wire", OnPanic::Log, async move {
                    wires.open.fetch_add(1, Ordering::SeqCst);
                    let _ = cut.run_until_cancelled(forward(inward, target)).await;
                    wires.open.fetch_sub(1, Ordering::SeqCst);
                });
            }
        });
        Self { address, tasks, wires }
    }

    pub(super) fn endpoint(&self) -> Endpoint {
        Endpoint { host: self.address.ip().to_string(), port: self.address.port() }
    }

    /// Ends all connections; new ones are taken. Answers how many there were.
    pub(super) fn cut(&self) -> usize {
        let open = self.wires.open.load(Ordering::SeqCst);
        std::mem::take(&mut *self.wires.cut.lock().unwrap()).cancel();
        open
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.cut();
        self.tasks.token().cancel();
    }
}

async fn forward(mut inward: TcpStream, target: SocketAddr) -> std::io::Result<()> {
    let mut outward = TcpStream::connect(target).await?;
    tokio::io::copy_bidirectional(&mut inward, &mut outward).await.map(drop)
}
