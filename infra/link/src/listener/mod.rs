//! The servers' side: the door for agents.
//!
//! ```text
//!  accept ─▶ TLS ─▶ who is it? ─▶ Join · Renew            (admission)
//!                                ├▶ Session ─▶ incoming    (session, sessions)
//!                                ├▶ Reach ◀─ logs, exec    (calls, tasks)
//!                                ├▶ Fetch ◀─ blobs         (fetch)
//!                                ├▶ Follow ◀─ bulletins    (follow)
//!                  another server ─▶ Tunnel ─▶ tunnels    (tunnel)
//! ```

mod accept;
mod admission;
mod caller;
mod calls;
pub(crate) mod certificate;
mod config;
mod door;
mod fetch;
mod follow;
mod listen;
mod ports;
mod session;
mod sessions;
mod shared;
mod tasks;
mod tunnel;
mod waiting;
mod wide;

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use arc_swap::ArcSwap;
use kogge_host::tasks::{OnPanic, TaskGroup};
use kogge_model::id::AgentId;
use kogge_model::link::FromControl;
use thiserror::Error;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::time::Instant;
use tokio_rustls::TlsAcceptor;

use crate::bounds::{MAX_FETCHES, MAX_TUNNELS};
use crate::identity::{Identity, PrivateKey};
use crate::tls::{self, Shown};

pub use certificate::ServerCertificateError;
pub use config::ListenerConfig;
pub use ports::{
    Blob, Blobs, Gate, Impostor, JoinRefused, Joining, Leader, ListenerPorts, Notes, Presence, Signer,
    Tunnels,
};
pub use tasks::RemoteLogs;

use sessions::{Say, Sessions};
use shared::Shared;

/// Why a listener did not start.
#[derive(Debug, Error)]
pub enum ListenerError {
    /// It has no certificate.
    #[error("cannot make the server's certificate")]
    Certificate(#[from] ServerCertificateError),
    /// The socket is not usable.
    #[error("cannot tell the address of the door for agents")]
    Address(#[source] io::Error),
}

/// A door that is open. Clones are the same door; it closes when its group ends.
#[derive(Clone)]
pub struct ListenerHandle {
    shared: Arc<Shared>,
    address: SocketAddr,
}

/// Opens the door for agents on `listener`; everything it starts is in `group`.
///
/// # Errors
/// When the server gets no certificate.
pub fn listen(
    listener: TcpListener,
    config: ListenerConfig,
    ports: ListenerPorts,
    group: &TaskGroup,
) -> Result<ListenerHandle, ListenerError> {
    let address = listener.local_addr().map_err(ListenerError::Address)?;
    let key = PrivateKey::generate().map_err(ServerCertificateError::from)?;
    let identity = certificate::issue(&*ports.signer, &key, &config)?;
    let shown = Arc::new(Shown::new(&identity).map_err(ServerCertificateError::from)?);
    let tls = tls::server_config(Arc::clone(&shown)).map_err(ServerCertificateError::from)?;
    let shared = Arc::new(Shared {
        config,
        ports,
        sessions: Arc::new(Sessions::default()),
        calls: calls::Calls::default(),
        fetches: Arc::new(Semaphore::new(MAX_FETCHES)),
        tunnels: Arc::new(Semaphore::new(MAX_TUNNELS)),
        identity: ArcSwap::from_pointee(identity.clone()),
        opened: Instant::now(),
        group: group.child("door for agents"),
    });
    keep_certificate(&shared, shown, identity);
    let reception = accept::Reception::new(Arc::clone(&shared), TlsAcceptor::from(Arc::new(tls)));
    shared.group.spawn("door for agents", OnPanic::StopGroup, Arc::new(reception).run(listener));
    Ok(ListenerHandle { shared, address })
}

fn keep_certificate(shared: &Arc<Shared>, shown: Arc<Shown>, identity: Identity) {
    let (issuing, showing) = (Arc::clone(shared), Arc::clone(shared));
    let issue = move |key: &PrivateKey| certificate::issue(&*issuing.ports.signer, key, &issuing.config);
    let show = move |fresh: &Identity| {
        shown.replace(fresh)?;
        showing.identity.store(Arc::new(fresh.clone()));
        Ok(())
    };
    let keeping = certificate::keep_fresh(shared.group.token(), identity, issue, show);
    shared.group.spawn("certificate of the door for agents", OnPanic::StopGroup, keeping);
}

impl ListenerHandle {
    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Hands `message` to the session of `agent`, if there is one with room; else it is dropped. Never waits.
    pub fn send(&self, agent: &AgentId, message: FromControl) {
        if let Err(why) = self.shared.sessions.say(agent, Say::Order(Box::new(message))) {
            tracing::debug!(%agent, ?why, "an order is dropped and comes again");
        }
    }

    /// The agents that have a session, and where they are.
    #[must_use]
    pub fn connected(&self) -> BTreeMap<AgentId, SocketAddr> {
        self.shared.sessions.connected()
    }

    /// Ends the session of `agent`; whether it may come back is the gate's to say.
    pub fn disconnect(&self, agent: &AgentId) {
        self.shared.sessions.end(agent);
    }

    /// Closes the door and ends all sessions. Returns what did not end in time and was cut off.
    pub async fn shutdown(&self, patience: std::time::Duration) -> Vec<String> {
        self.shared.group.shutdown(patience).await
    }
}
