//! What all connections of a dialer have in common.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use arc_swap::{ArcSwap, ArcSwapOption};
use bytes::Bytes;
use kogge_host::tasks::TaskGroup;
use kogge_model::id::AgentId;
use tokio::sync::{Semaphore, watch};

use super::config::{DialerConfig, DialerPorts};
use super::connection::{self, DialError, Reached};
use super::spares::Spares;
use super::state::LinkState;
use crate::address::ServerAddress;
use crate::identity::Identity;
use crate::timing::Timing;
use crate::tls::Trust;

pub(super) struct Shared {
    pub(super) config: DialerConfig,
    pub(super) ports: DialerPorts,
    pub(super) agent: AgentId,
    /// This process, as opposed to a copy of its machine.
    pub(super) instance: Bytes,
    pub(super) identity: ArcSwap<Identity>,
    /// When the identity was renewed last, by a clock that nobody sets.
    pub(super) renewed: Mutex<Option<Instant>>,
    pub(super) servers: ArcSwap<Vec<ServerAddress>>,
    /// Where the server of the session is, or of the last one.
    pub(super) at: ArcSwapOption<ServerAddress>,
    pub(super) state: watch::Sender<LinkState>,
    /// How many have begun.
    pub(super) sessions: watch::Sender<u64>,
    pub(super) calls: Arc<Semaphore>,
    /// Ways to servers that may lead next.
    pub(super) spares: Spares,
    pub(super) group: TaskGroup,
}

impl Shared {
    /// A new connection under the identity of now.
    pub(super) async fn connect(&self, server: &ServerAddress) -> Result<Reached, DialError> {
        self.connect_in(&self.config.timing, server).await
    }

    /// The same, given up soon: the link may be there for a moment only, and the next try may meet that.
    pub(super) async fn connect_soon(&self, server: &ServerAddress) -> Result<Reached, DialError> {
        let timing = &self.config.timing;
        let (connect, handshake) = (timing.bypass * 3, timing.handshake.min(timing.bypass * 5));
        self.connect_in(&Timing { connect, handshake, ..*timing }, server).await
    }

    async fn connect_in(&self, timing: &Timing, server: &ServerAddress) -> Result<Reached, DialError> {
        let identity = self.identity.load_full();
        let trust = Trust::Cluster(identity.authority().clone());
        connection::connect(server, trust, Some(&identity), timing, &self.group).await
    }

    /// Remembers where the servers are, if that is news.
    pub(super) async fn learn_servers(&self, addresses: &[String]) {
        let servers: Vec<ServerAddress> = addresses.iter().filter_map(|text| text.parse().ok()).collect();
        if servers.is_empty() || servers == **self.servers.load() {
            return;
        }
        self.servers.store(Arc::new(servers.clone()));
        if let Err(reason) = self.ports.keeper.keep_servers(&servers).await {
            tracing::warn!(%reason, "the list of servers cannot be kept");
        }
    }

    pub(super) fn last_renewal(&self) -> Option<Instant> {
        *self.renewed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn has_renewed(&self) {
        *self.renewed.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }
}
