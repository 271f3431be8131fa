//! The API's doors: in clear on loopback, and beyond it with TLS and tokens.

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};

use kogge_cli::{Doors as Wish, Failure};
use kogge_link::identity::HostName;
use kogge_model::view::DoorsView;
use tokio::net::TcpListener;

use super::doors::{bind, default_at};

/// The API's port.
const PORT: u16 = 7400;

/// Doors of the API that nobody serves yet.
pub(crate) struct ApiDoors {
    pub(crate) clear: TcpListener,
    /// Beyond loopback, if it was asked for.
    pub(crate) wide: Option<WideDoor>,
    /// Of the one on loopback.
    pub(crate) url: String,
    /// Of the one beyond it.
    pub(crate) tls_url: Option<String>,
}

/// A door that others reach, and the names they use.
pub(crate) struct WideDoor {
    pub(crate) listener: TcpListener,
    pub(crate) hosts: Vec<HostName>,
}

impl ApiDoors {
    /// Opens them where the arguments say, and adds them to `view`.
    pub(crate) fn open(
        wish: Option<SocketAddr>,
        names: &[String],
        doors: Wish,
        view: &mut DoorsView,
    ) -> Result<Self, Failure> {
        let default = default_at(doors, PORT).port();
        let wide = wish.filter(|at| !at.ip().is_loopback());
        let clear = wish.filter(|_| wide.is_none()).unwrap_or_else(|| clear_beside(wide, default));
        let (clear, at) = bind(DoorsView::API, clear, "--api-bind")?;
        let url = format!("http://{at}");
        view.0.insert(DoorsView::API.to_owned(), url.clone());
        let wide = wide.map(|at| WideDoor::open(at, names)).transpose()?;
        let (wide, tls_url) = wide.unzip();
        if let Some(url) = &tls_url {
            view.0.insert(DoorsView::API_TLS.to_owned(), url.clone());
        }
        Ok(Self { clear, wide, url, tls_url })
    }
}

impl WideDoor {
    fn open(at: SocketAddr, names: &[String]) -> Result<(Self, String), Failure> {
        let mut hosts =
            names.iter().map(|name| name.parse()).collect::<Result<Vec<HostName>, _>>().map_err(|error| {
                Failure::usage(format!("cannot use --api-name: {error}"))
                    .with_hint("name hosts without a port, such as s1.lan or 10.0.0.1")
            })?;
        if !at.ip().is_unspecified() {
            hosts.push(HostName::Ip(at.ip()));
        }
        hosts.extend(rustix::system::uname().nodename().to_str().ok().and_then(|name| name.parse().ok()));
        let (listener, at) = bind(DoorsView::API_TLS, at, "--api-bind")?;
        let host = hosts.first().ok_or_else(|| {
            Failure::usage(format!("nobody can be told where the API on {at} is: this machine has no name"))
                .with_hint("say how others reach it: --api-name HOST")
        })?;
        let url = format!("https://{host}:{}", at.port());
        Ok((Self { listener, hosts }, url))
    }
}

/// The door on loopback takes another port when the wide one has this one on all addresses.
fn clear_beside(wide: Option<SocketAddr>, port: u16) -> SocketAddr {
    let is_taken = wide.is_some_and(|at| at.ip().is_unspecified() && at.port() == port);
    SocketAddrV4::new(Ipv4Addr::LOCALHOST, if is_taken { 0 } else { port }).into()
}
