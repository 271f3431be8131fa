//! Where records stand in the store.
//!
//! | key | record |
//! |---|---|
//! | `cluster` | [`ClusterRecord`]: identity and data format |
//! | `access/authority` | the key and certificate that sign all others |
//! | `access/token/<id>`, `access/member/<agent>` | invitations, and the machines that took one |
//! | `server/<name>` | a server that lives, under a lease of its own |
//! | `digest/<name>` | what that server's copy of the state contains, in one number, under the same lease |
//! | `alarm/<name>` | what that server finds wrong with whoever leads |
//! | `trial/<name>` | what that server writes, and removes, to see whether the engine is fast for it |
//! | `access/operator/<id>` | tokens of operators, their secrets' digests only |
//! | `tree/node/<hex>` | a node of the desired tree, canonical JSON |
//! | `tree/revision/<20 digits>` | a revision |
//! | `kernel/{agent,framework,task}/<id>`, `kernel/run` | the kernel's records |
//! | `kernel/lease` | when leases of single-copy tasks were last granted |
//! | `services/{service,instance}/<path>` | the records of `services` |
//! | `ended/<service path>/<slot>` | the last ended tasks of a service, a ring |
//! | `why/<service path>/<slot>` | the last decisions about a service, a ring |

use kogge_model::id::{ClusterId, RevisionId};
use kogge_model::name::InstanceId;
use kogge_store::Key;
use serde::{Deserialize, Serialize};

/// The data format this program writes. It reads this one and the one before (G6).
pub(crate) const FORMAT: u32 = 1;

/// The first record of every store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ClusterRecord {
    /// Made at the first start, never changed.
    pub(crate) cluster: ClusterId,
    /// The newest format in the store.
    pub(crate) format: u32,
    /// Added to a leader's fence to make its term: engines count anew, terms never do. Raised when the state moves.
    #[serde(default)]
    pub(crate) term_base: u64,
}

pub(crate) const CLUSTER: &str = "cluster";
/// Everything about who may come in.
pub(crate) const ACCESS: &str = "access/";
pub(crate) const AUTHORITY: &str = "access/authority";
pub(crate) const TOKENS: &str = "access/token/";
pub(crate) const MEMBERS: &str = "access/member/";
pub(crate) const SERVERS: &str = "server/";
/// Not counted in the digests that stand there.
pub(crate) const DIGESTS: &str = "digest/";
pub(crate) const ALARMS: &str = "alarm/";
pub(crate) const TRIALS: &str = "trial/";
pub(crate) const OPERATORS: &str = "access/operator/";
pub(crate) const NODES: &str = "tree/node/";
pub(crate) const REVISIONS: &str = "tree/revision/";
pub(crate) const AGENTS: &str = "kernel/agent/";
pub(crate) const TASKS: &str = "kernel/task/";
pub(crate) const FRAMEWORKS: &str = "kernel/framework/";
pub(crate) const RUN_COUNTER: &str = "kernel/run";
/// Written so that leases are granted by nobody but the leader: every write of a round is guarded by its election.
pub(crate) const LAST_GRANT: &str = "kernel/lease";
pub(crate) const INSTANCES: &str = "services/instance/";
pub(crate) const SERVICES: &str = "services/service/";
pub(crate) const ENDED: &str = "ended/";
pub(crate) const DECISIONS: &str = "why/";

/// `prefix` and `id`.
pub(crate) fn under(prefix: &str, id: impl std::fmt::Display) -> Key {
    format!("{prefix}{id}").into()
}

/// Padded, so that byte order is the order of numbers.
pub(crate) fn revision(id: RevisionId) -> Key {
    format!("{REVISIONS}{:020}", id.0).into()
}

/// One instance's record.
pub(crate) fn instance(id: &InstanceId) -> Key {
    format!("{INSTANCES}{}/{}", id.service.path(), id.number).into()
}
