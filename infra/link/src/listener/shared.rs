//! What all connections of a listener have in common.

use std::sync::Arc;

use kogge_host::tasks::TaskGroup;
use tokio::sync::Semaphore;

use super::calls::Calls;
use super::config::ListenerConfig;
use super::ports::ListenerPorts;
use super::sessions::Sessions;

pub(crate) struct Shared {
    pub(crate) config: ListenerConfig,
    pub(crate) ports: ListenerPorts,
    pub(crate) sessions: Arc<Sessions>,
    pub(crate) calls: Calls,
    pub(crate) fetches: Arc<Semaphore>,
    pub(crate) group: TaskGroup,
}
