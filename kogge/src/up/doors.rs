//! The doors of the process: opened before anything else starts, named in a file for the clients.

use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::path::Path;

use kogge_cli::{Doors as Wish, Failure, UpArgs};
use kogge_host::listener;
use kogge_model::view::DoorsView;
use tokio::net::TcpListener;

/// Open doors that nobody serves yet.
pub(crate) struct Doors {
    pub(crate) api: TcpListener,
    pub(crate) router: TcpListener,
    pub(crate) view: DoorsView,
    pub(crate) router_port: u16,
}

impl Doors {
    /// Opens all doors, or none.
    pub(crate) fn open(args: &UpArgs) -> Result<Self, Failure> {
        let (api, router) = match args.doors {
            Wish::Default => (7400, 80),
            Wish::Ephemeral => (0, 0),
        };
        let api = args.api_bind.unwrap_or_else(|| loopback(api));
        if !api.ip().is_loopback() {
            return Err(Failure::usage(format!(
                "the API cannot be bound to {api}: beyond loopback it would need TLS and tokens"
            ))
            .with_hint("bind it to 127.0.0.1 and reach it through ssh -L"));
        }
        let (api, api_at) = open("api", api, "--api-bind")?;
        let (router, router_at) =
            open("router_http", args.router_bind.unwrap_or_else(|| loopback(router)), "--router-bind")?;
        let mut view = DoorsView::default();
        view.0.insert(DoorsView::API.to_owned(), format!("http://{api_at}"));
        view.0.insert(DoorsView::ROUTER_HTTP.to_owned(), format!("http://{router_at}"));
        Ok(Self { api, router, view, router_port: router_at.port() })
    }

    /// The URL of the API.
    pub(crate) fn api_url(&self) -> String {
        self.view.url(DoorsView::API).unwrap_or_default().to_owned()
    }
}

fn loopback(port: u16) -> SocketAddr {
    SocketAddrV4::new(Ipv4Addr::LOCALHOST, port).into()
}

fn open(door: &'static str, at: SocketAddr, flag: &str) -> Result<(TcpListener, SocketAddr), Failure> {
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

/// Nobody is to find doors that are closed.
pub(crate) fn withdraw(file: &Path) {
    if let Err(error) = std::fs::remove_file(file) {
        tracing::warn!(%error, file = %file.display(), "the file of the doors could not be removed");
    }
}
