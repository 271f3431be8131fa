//! A wire that can be cut, and that can fall silent.

use std::net::SocketAddr;

use kogge_host::tasks::{OnPanic, TaskGroup};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use super::super::config::Host;
use super::Config;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Mode {
    /// Connections of an earlier one are cut.
    age: u32,
    is_silent: bool,
}

/// Stands in front of one server. Ends with its tasks.
#[derive(Debug)]
pub(super) struct Proxy {
    address: SocketAddr,
    mode: watch::Sender<Mode>,
    tasks: TaskGroup,
}

impl Proxy {
    pub(super) async fn start(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mode = watch::Sender::new(Mode { age: 0, is_silent: false });
        let tasks = TaskGroup::new("proxy");
        let (modes, group) = (mode.clone(), tasks.clone());
        tasks.spawn("accept", OnPanic::Log, async move {
            let token = group.token();
            loop {
                let (client, _) = tokio::select! {
                    accepted = listener.accept() => accepted.unwrap(),
                    () = token.cancelled() => return,
                };
                let (modes, token) = (modes.subscribe(), group.token());
                group.spawn("carry", OnPanic::Log, async move {
                    tokio::select! {
                        () = carry(client, port, modes) => {}
                        () = token.cancelled() => {}
                    }
                });
            }
        });
        Self { address, mode, tasks }
    }

    /// The same address, by way of this.
    pub(super) fn before(&self, config: &Config) -> Config {
        let hosts = vec![Host { name: "127.0.0.1".into(), port: self.address.port() }];
        Config { hosts, ..config.clone() }
    }

    /// Ends all connections; new ones are welcome.
    pub(super) fn cut(&self) {
        self.mode.send_modify(|mode| mode.age += 1);
    }

    /// Carries nothing any more, and tells nobody.
    pub(super) fn silence(&self) {
        self.mode.send_modify(|mode| mode.is_silent = true);
    }

    /// Carries what was held back, and what comes.
    pub(super) fn speak(&self) {
        self.mode.send_modify(|mode| mode.is_silent = false);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.tasks.token().cancel();
    }
}

async fn carry(mut client: TcpStream, port: u16, mut modes: watch::Receiver<Mode>) {
    let Ok(mut server) = TcpStream::connect(("127.0.0.1", port)).await else { return };
    let age = modes.borrow().age;
    let copy = tokio::io::copy_bidirectional(&mut client, &mut server);
    tokio::pin!(copy);
    loop {
        let mode = *modes.borrow_and_update();
        if mode.age != age {
            return;
        }
        tokio::select! {
            _ = &mut copy, if !mode.is_silent => return,
            changed = modes.changed() => if changed.is_err() {
                return;
            },
        }
    }
}
