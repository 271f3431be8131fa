//! What all connections of a listener have in common.

use std::sync::Arc;

use arc_swap::ArcSwap;
use kogge_host::tasks::TaskGroup;
use tokio::sync::Semaphore;
use tokio::time::Instant;

use super::calls::Calls;
use super::config::ListenerConfig;
use super::ports::ListenerPorts;
use super::sessions::Sessions;
use crate::identity::Identity;

pub(crate) struct Shared {
    pub(crate) config: ListenerConfig,
    pub(crate) ports: ListenerPorts,
    pub(crate) sessions: Arc<Sessions>,
    pub(crate) calls: Calls,
    pub(crate) fetches: Arc<Semaphore>,
    pub(crate) tunnels: Arc<Semaphore>,
    /// What this server shows to other servers.
    pub(crate) identity: ArcSwap<Identity>,
    /// When the door was opened.
    pub(crate) opened: Instant,
    pub(crate) group: TaskGroup,
}
