//! The door by which agents and other servers come in.

use std::net::{IpAddr, SocketAddr, ToSocketAddrs as _};
use std::sync::Arc;

use kogge_cli::{AgentsDoorArgs, Failure};
use kogge_containers::Workers;
use kogge_containers::image::ImageStore;
use kogge_control::{Handle, ServerRecord, Standing};
use kogge_discovery::RoutingTable;
use kogge_host::tasks::{OnPanic, TaskGroup};
use kogge_link::{
    Leader, ListenerConfig, ListenerHandle, ListenerPorts, ServerAddress, Signer, Tunnels, listen,
};
use kogge_model::link::FromAgent;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};

use crate::adapters::{self, AgentNotes, MemberGate, StoredBlobs, ToldPresence};
use crate::told::failure;
use crate::up::bind;

/// Threads that read blobs for agents.
const READERS: usize = 4;

/// A door that nobody serves yet.
pub(crate) struct AgentsDoor {
    listener: TcpListener,
    /// Where others find it.
    pub(crate) address: ServerAddress,
}

/// What stands behind it.
pub(crate) struct Served<'a> {
    pub(crate) name: &'a str,
    pub(crate) control: &'a Handle,
    pub(crate) images: &'a ImageStore,
    pub(crate) tables: watch::Receiver<Arc<RoutingTable>>,
    pub(crate) notes: Arc<AgentNotes>,
    pub(crate) tunnels: Arc<dyn Tunnels>,
    pub(crate) incoming: mpsc::Sender<FromAgent>,
}

impl AgentsDoor {
    /// Opens it where the arguments say.
    pub(crate) fn open(at: SocketAddr, args: &AgentsDoorArgs) -> Result<Self, Failure> {
        if at.ip().is_unspecified() && args.advertise.is_none() {
            return Err(Failure::usage(format!("{at} is not where others find this machine"))
                .with_hint("say by which name or address they do: --advertise HOST"));
        }
        let (listener, at) = bind("agents", at, "--agents-bind")?;
        let host = args.advertise.clone().unwrap_or_else(|| match at.ip() {
            IpAddr::V4(ip) => ip.to_string(),
            IpAddr::V6(ip) => format!("[{ip}]"),
        });
        let text = if host.contains(':') && !host.starts_with('[') { format!("[{host}]") } else { host };
        let address = format!("{text}:{}", at.port()).parse();
        let address = address.map_err(|error| Failure::usage(format!("--advertise: {error}")))?;
        Ok(Self { listener, address })
    }

    /// This machine's address, as other machines know it.
    pub(crate) fn own_ip(&self) -> Result<IpAddr, Failure> {
        let (host, port) = (self.address.host(), self.address.port());
        let mut found = (host, port)
            .to_socket_addrs()
            .map_err(|error| failure(&format!("cannot find out the address of {host}"), &error))?;
        let none = || Failure::new(format!("{host} has no address")).with_hint("--advertise an address");
        found.next().map(|address| address.ip()).ok_or_else(none)
    }

    /// Lets others in until `group` ends.
    pub(crate) fn serve(self, served: Served<'_>, group: &TaskGroup) -> Result<ListenerHandle, Failure> {
        let control = served.control;
        let blobs = StoredBlobs { images: served.images.clone(), workers: Workers::new(READERS) };
        let ports = ListenerPorts {
            gate: Arc::new(MemberGate::new(control.clone())),
            signer: Arc::clone(control.authority()) as Arc<dyn Signer>,
            leader: translated(control.standing(), leader, group),
            servers: translated(control.servers(), addresses, group),
            blobs: Arc::new(blobs),
            presence: Arc::new(ToldPresence::start(control.clone(), group)),
            bulletin: adapters::pack(served.tables, group),
            notes: served.notes,
            tunnels: served.tunnels,
            incoming: served.incoming,
        };
        let config = ListenerConfig::new(served.name, env!("CARGO_PKG_VERSION"));
        listen(self.listener, config, ports, group)
            .map_err(|error| failure("cannot open the door for agents", &error))
    }
}

fn leader(standing: &Standing) -> Leader {
    match standing {
        Standing::Leads => Leader::Here,
        Standing::TakesOver => Leader::Soon,
        Standing::Follows(Some(ServerRecord { door: Some(door), .. })) => Leader::Elsewhere(door.clone()),
        Standing::Follows(_) => Leader::Unknown,
    }
}

#[expect(clippy::ptr_arg, reason = "the value of a watch is borrowed as it is")]
fn addresses(servers: &Vec<ServerRecord>) -> Vec<ServerAddress> {
    servers.iter().filter_map(|server| server.door.clone()).collect()
}

/// The same in the words of the link, now and from now on.
fn translated<A, B>(
    mut from: watch::Receiver<A>,
    translate: fn(&A) -> B,
    group: &TaskGroup,
) -> watch::Receiver<B>
where
    A: Send + Sync + 'static,
    B: Send + Sync + 'static,
{
    let (sender, receiver) = watch::channel(translate(&from.borrow_and_update()));
    let token = group.token();
    group.spawn("word to the door for agents", OnPanic::StopGroup, async move {
        loop {
            tokio::select! {
                () = token.cancelled() => return,
                changed = from.changed() => if changed.is_err() { return },
            }
            sender.send_replace(translate(&from.borrow_and_update()));
        }
    });
    receiver
}
