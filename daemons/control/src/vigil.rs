//! Watching over the leader: when its death is certain, nobody waits for its lease to end.
//!
//! Certain is a refused connection, twice: the machine answers, and nobody listens where the leader did. Taking its
//! election away is safe even if it lived on: every write of a leader is guarded by it. Silence is no proof: it is told,
//! and the leader may give way (`alarm.rs`).

use std::sync::Arc;
use std::time::{Duration, Instant};

use kogge_host::tasks::{OnPanic, TaskGroup};
use kogge_link::ServerAddress;
use kogge_store::{Consistency, Key, LeaseId, Store};
use tokio::net::TcpStream;

use crate::alarm::{Alarm, Voice};
use crate::copy::Copy;
use crate::load::ELECTION;
use crate::seekers::Seekers;
use crate::servers;
use crate::standing::ServerRecord;

/// Between two knocks.
const EVERY: Duration = Duration::from_millis(200);
/// The second knock, after a refusal.
const AGAIN: Duration = Duration::from_millis(50);
/// For an answer to a knock; silence proves nothing.
const PATIENCE: Duration = Duration::from_secs(1);

/// Silence of that length is told; it is hardly that of one lost packet.
const SILENCE: Duration = Duration::from_millis(2_500);

/// Watches until `group` ends.
pub(crate) fn keep(store: Arc<dyn Store>, copy: Copy, own: String, seekers: Arc<Seekers>, group: &TaskGroup) {
    let token = group.token();
    group.spawn("vigil over the leader", OnPanic::Log, async move {
        let voice = Voice::new(Arc::clone(&store), own.clone());
        let mut vigil = Vigil { store, copy, own, seekers, voice, fence: None, silent_since: None };
        let watching = async {
            loop {
                tokio::time::sleep(EVERY).await;
                let alarm = vigil.watch().await;
                vigil.voice.say(alarm).await;
            }
        };
        tokio::select! {
            () = token.cancelled() => {}
            () = watching => {}
        }
    });
}

struct Vigil {
    store: Arc<dyn Store>,
    copy: Copy,
    own: String,
    seekers: Arc<Seekers>,
    voice: Voice,
    /// Of the lead that is watched.
    fence: Option<u64>,
    silent_since: Option<Instant>,
}

enum Knock {
    Answered,
    /// The machine answers, and nobody listens there.
    Refused,
    /// Nothing comes back.
    Silent,
}

impl Vigil {
    /// What is wrong with another server that leads.
    async fn watch(&mut self) -> Option<Alarm> {
        let elected = servers::elected(&self.copy.image())?;
        let leader = elected.server.filter(|leader| leader.name != self.own)?;
        let door = leader.door?;
        if self.fence.replace(elected.fence) != Some(elected.fence) {
            self.silent_since = None;
            self.seekers.clear();
        }
        let begin = Instant::now();
        match knock(&door).await {
            Knock::Answered => self.silent_since = None,
            Knock::Silent => drop(self.silent_since.get_or_insert(begin)),
            Knock::Refused => {
                tokio::time::sleep(AGAIN).await;
                if matches!(knock(&door).await, Knock::Refused) {
                    depose(self.store.as_ref(), &leader.name, elected.lease).await;
                }
                return None;
            }
        }
        let is_silent = self.silent_since.is_some_and(|since| since.elapsed() >= SILENCE);
        let seekers = self.seekers.count(Instant::now());
        (is_silent || seekers > 0).then_some(Alarm { fence: elected.fence, is_silent, seekers })
    }
}

async fn knock(door: &ServerAddress) -> Knock {
    let knocking = TcpStream::connect((door.host(), door.port()));
    match tokio::time::timeout(PATIENCE, knocking).await {
        Ok(Ok(_)) => Knock::Answered,
        Ok(Err(error)) if error.kind() == std::io::ErrorKind::ConnectionRefused => Knock::Refused,
        Ok(Err(_)) | Err(_) => Knock::Silent,
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
