//! Where an engine stands.

use crate::Revision;

/// The answer to [`crate::Store::status`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// Which engine: `embedded`, `etcd`, `zookeeper`.
    pub engine: &'static str,
    /// The last committed batch.
    pub revision: Revision,
    /// The oldest revision a watch may start from.
    pub oldest: Revision,
    /// Keys stored.
    pub keys: u64,
    /// Space taken on disk, in bytes.
    pub disk_bytes: u64,
    /// How often this store was opened; only the embedded engine counts.
    pub epoch: Option<u64>,
    /// The engine member that leads, if the engine has several.
    pub leader: Option<String>,
}
