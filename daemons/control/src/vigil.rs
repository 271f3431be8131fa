//! Watching over the leader: when its death is certain, nobody waits for its lease to end.
//!
//! Certain is a refused connection, twice: the machine answers, and nobody listens where the leader did. Taking its
//! election away is safe even if it lived on: every write of a leader is guarded by it.

use std::sync::Arc;
use std::time::Duration;

use kogge_host::tasks::{OnPanic, TaskGroup};
use kogge_link::ServerAddress;
use kogge_store::{Consistency, Key, LeaseId, Store};
use tokio::net::TcpStream;

use crate::copy::Copy;
use crate::load::ELECTION;
use crate::servers;
use crate::standing::ServerRecord;

/// Between two knocks.
const EVERY: Duration = Duration::from_millis(200);
/// The second knock, after a refusal.
const AGAIN: Duration = Duration::from_millis(50);
/// For an answer to a knock; silence proves nothing.
const PATIENCE: Duration = Duration::from_secs(1);

/// Watches until `group` ends.
pub(crate) fn keep(store: Arc<dyn Store>, copy: Copy, own: String, group: &TaskGroup) {
    let token = group.token();
    group.spawn("vigil over the leader", OnPanic::Log, async move {
        let watching = async {
            loop {
                tokio::time::sleep(EVERY).await;
                watch(store.as_ref(), &copy, &own).await;
            }
        };
        tokio::select! {
            () = token.cancelled() => {}
            () = watching => {}
        }
    });
}

async fn watch(store: &dyn Store, copy: &Copy, own: &str) {
    let elected = servers::elected(&copy.image());
    let Some(elected) = elected else { return };
    let Some(leader) = elected.server.filter(|leader| leader.name != own) else { return };
    let Some(door) = leader.door else { return };
    if !refuses(&door).await {
        return;
    }
    tokio::time::sleep(AGAIN).await;
    if refuses(&door).await {
        depose(store, &leader.name, elected.lease).await;
    }
}

async fn refuses(door: &ServerAddress) -> bool {
    let knocking = TcpStream::connect((door.host(), door.port()));
    match tokio::time::timeout(PATIENCE, knocking).await {
        Ok(Err(error)) => error.kind() == std::io::ErrorKind::ConnectionRefused,
        Ok(Ok(_)) | Err(_) => false,
    }
}

async fn depose(store: &dyn Store, leader: &str, lease: Option<LeaseId>) {
    let Some(lease) = lease else { return };
    match store.lease_revoke(lease).await {
        Ok(()) => {
            tracing::warn!(%leader, "the leader is gone: its door is closed; another server takes over")
        }
        Err(error) => tracing::debug!(%error, "the leader could not be deposed"),
    }
}

/// Takes the election from an earlier life of this very server, which died with it: nobody else can have its door.
pub(crate) async fn bury(store: &dyn Store, own: &ServerRecord) {
    let found = store.get(&Key::election(ELECTION), Consistency::Linearizable).await;
    let Ok(Some(entry)) = found.map(|found| found.entry) else { return };
    let leader: Option<ServerRecord> = serde_json::from_slice(&entry.value).ok();
    if let Some(leader) = leader.filter(|leader| leader.is_at_the_doors_of(own)) {
        depose(store, &leader.name, entry.lease).await;
    }
}
