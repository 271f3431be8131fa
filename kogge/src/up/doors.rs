//! The doors of the process: opened before anything else starts, named in a file for the clients.

use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::path::Path;

use kogge_cli::{Doors as Wish, Failure, UpArgs};
use kogge_host::listener;
use kogge_model::view::DoorsView;
use tokio::net::TcpListener;

use super::api_doors::ApiDoors;
use crate::cluster::AgentsDoor;

/// Open doors that nobody serves yet.
pub(crate) struct Doors {
    pub(crate) api: ApiDoors,
    pub(crate) router: TcpListener,
    /// For agents on other machines, if there may be some.
    pub(crate) agents: Option<AgentsDoor>,
    pub(crate) view: DoorsView,
    pub(crate) router_port: u16,
}

impl Doors {
    /// Opens all doors, or none.
    pub(crate) fn open(args: &UpArgs) -> Result<Self, Failure> {
        let mut view = DoorsView::default();
        let api = ApiDoors::open(args.api_bind, &args.api_names, args.doors, &mut view)?;
        let router_at = args.router_bind.unwrap_or_else(|| default_at(args.doors, 80));
        let (router, router_at) = bind("router_http", router_at, "--router-bind")?;
        let agents = args.agents.agents_bind.map(|at| AgentsDoor::open(at, &args.agents)).transpose()?;
        view.0.insert(DoorsView::ROUTER_HTTP.to_owned(), format!("http://{router_at}"));
        if let Some(agents) = &agents {
            view.0.insert(DoorsView::AGENTS.to_owned(), agents.address.to_string());
        }
        Ok(Self { api, router, agents, view, router_port: router_at.port() })
    }
}

/// Where a door is that nobody has moved: on loopback.
pub(crate) fn default_at(doors: Wish, port: u16) -> SocketAddr {
    let port = match doors {
        Wish::Default => port,
        Wish::Ephemeral => 0,
    };
    SocketAddrV4::new(Ipv4Addr::LOCALHOST, port).into()
}

/// Opens a door that nobody serves yet.
pub(crate) fn bind(
    door: &'static str,
    at: SocketAddr,
    flag: &str,
) -> Result<(TcpListener, SocketAddr), Failure> {
    let bound = listener::bind(door, at);
    let listener = bound.map_err(|error| {
        let hint = match error.source.kind() {
            std::io::ErrorKind::AddrInUse => {
                format!("another program listens there: choose {flag} ADDRESS, or --doors ephemeral")
            }
            _ => format!("choose {flag} ADDRESS"),
        };
        Failure::new(format!("{error}: {}", error.source)).with_hint(hint)
    })?;
    let at = listener
        .local_addr()
        .map_err(|error| Failure::new(format!("door {door} has no address: {error}")))?;
    Ok((listener, at))
}

/// Writes the file in which clients look the doors up.
pub(crate) fn publish(view: &DoorsView, file: &Path) -> Result<(), Failure> {
    let mut document = serde_json::to_value(view).map_err(|error| Failure::new(error.to_string()))?;
    document["pid"] = std::process::id().into();
    let fresh = file.with_extension("new");
    let write = || -> std::io::Result<()> {
        let mut out = std::fs::File::create(&fresh)?;
        out.write_all(document.to_string().as_bytes())?;
        std::fs::rename(&fresh, file)
    };
    write().map_err(|error| Failure::new(format!("cannot write {}: {error}", file.display())))
}

/// The process whose doors the file names.
pub(crate) fn pid(file: &Path) -> Option<i32> {
    let document: serde_json::Value = serde_json::from_slice(&std::fs::read(file).ok()?).ok()?;
    document["pid"].as_i64()?.try_into().ok()
}

/// Nobody is to find doors that are closed.
pub(crate) fn withdraw(file: &Path) {
    if let Err(error) = std::fs::remove_file(file) {
        tracing::warn!(%error, file = %file.display(), "the file of the doors could not be removed");
    }
}
