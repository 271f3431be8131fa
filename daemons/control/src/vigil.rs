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

use crate::alarm::{self, Alarm, Voice};
use crate::copy::Copy;
use crate::load::ELECTION;
use crate::pace::{self, Pace};
use crate::seekers::Seekers;
use crate::servers::{self, Elected};
use crate::standing::ServerRecord;

/// Between two knocks.
const EVERY: Duration = Duration::from_millis(200);
/// The second knock, after a refusal.
const AGAIN: Duration = Duration::from_millis(50);
/// For an answer to a knock; silence proves nothing.
const PATIENCE: Duration = Duration::from_secs(1);

/// How long the outcome of a trial is believed.
const TRIED: Duration = Duration::from_secs(2);

/// Silence of that length is told; it is hardly that of one lost packet.
const SILENCE: Duration = Duration::from_millis(2_500);

/// Watches until `group` ends.
pub(crate) fn keep(store: Arc<dyn Store>, copy: Copy, own: String, watched: Watched, group: &TaskGroup) {
    let token = group.token();
    group.spawn("vigil over the leader", OnPanic::Log, async move {
        let voice = Voice::new(Arc::clone(&store), own.clone());
        let mut vigil =
            Vigil { store, copy, own, watched, voice, fence: None, silent_since: None, trial: None };
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
    watched: Watched,
    voice: Voice,
    /// Of the lead that is watched.
    fence: Option<u64>,
    silent_since: Option<Instant>,
    trial: Option<Trial>,
}

/// What the vigil looks at besides the leader's door.
pub(crate) struct Watched {
    /// Agents that look for the leader here.
    pub(crate) seekers: Arc<Seekers>,
    /// How fast this server is.
    pub(crate) pace: Arc<Pace>,
}

/// Whether the engine was fast for this server, and when that was tried.
#[derive(Debug, Clone, Copy)]
struct Trial {
    was_fast: bool,
    at: Instant,
}

enum Knock {
    Answered,
    /// The machine answers, and nobody listens there.
    Refused,
    /// Nothing comes back.
    Silent,
}

impl Vigil {
    /// What is wrong with the server that leads.
    async fn watch(&mut self) -> Option<Alarm> {
        let (elected, leader, is_slow) = self.leader()?;
        if self.fence.replace(elected.fence) != Some(elected.fence) {
            self.silent_since = None;
            self.trial = None;
            self.watched.seekers.clear();
        }
        let alarm = Alarm { fence: elected.fence, ..Alarm::default() };
        if leader.name == self.own {
            let is_slow = self.watched.pace.is_slow(Instant::now());
            return is_slow.then_some(Alarm { is_slow, ..alarm });
        }
        let is_fast = is_slow && self.is_fast().await;
        let door = leader.door?;
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
        let seekers = self.watched.seekers.count(Instant::now());
        (is_silent || seekers > 0 || is_fast).then_some(Alarm { is_silent, seekers, is_fast, ..alarm })
    }

    /// Who leads, by which election, and whether it says that it is slow.
    fn leader(&self) -> Option<(Elected, ServerRecord, bool)> {
        let image = self.copy.image();
        let elected = servers::elected(&image)?;
        let leader = elected.server.clone()?;
        let said = alarm::of(&image, &leader.name, elected.fence);
        Some((elected, leader, said.is_some_and(|alarm| alarm.is_slow)))
    }

    /// Whether this server would be faster than a leader that is slow.
    async fn is_fast(&mut self) -> bool {
        if !self.watched.pace.is_steady(Instant::now()) {
            return false;
        }
        if let Some(trial) = self.trial.filter(|trial| trial.at.elapsed() < TRIED) {
            return trial.was_fast;
        }
        let was_fast = pace::is_engine_fast(self.store.as_ref(), &self.own).await;
        self.trial = Some(Trial { was_fast, at: Instant::now() });
        was_fast
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
