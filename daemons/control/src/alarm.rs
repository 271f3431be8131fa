//! What servers tell each other of a leader that writes to the engine, and is reached by nobody.
//!
//! Its lead cannot be taken from it: silence between two machines proves nothing about either. So the others say through
//! the engine what they see, and the leader gives way (`giving_way.rs`) when that fits with what it sees itself.
//!
//! ```text
//!   standby: the leader's door is silent; agents come here who look for it ──▶ alarm/<server>
//!   leader:  hears fewer than half of the agents, and all others find its door silent, or more agents look for it
//!            than it hears ──▶ hands over
//! ```

use std::sync::Arc;
use std::time::{Duration, Instant};

use kogge_model::reason::Reason;
use kogge_store::{Commit, Store};
use serde::{Deserialize, Serialize};

use crate::image::Image;
use crate::keys;
use crate::load::parse;
use crate::servers;

/// What a server finds wrong with the one that leads, which may be itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct Alarm {
    /// Which lead: that of this fence.
    pub(crate) fence: u64,
    /// The leader's door has not answered for a while.
    pub(crate) is_silent: bool,
    /// Agents that came here and were sent on to the leader, lately.
    pub(crate) seekers: usize,
    /// The leader itself: it is slow, see `pace.rs`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) is_slow: bool,
    /// Others, since the leader is slow: they are not.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) is_fast: bool,
}

/// What `image` has of `server` about the lead of that fence.
pub(crate) fn of(image: &Image, server: &str, fence: u64) -> Option<Alarm> {
    let entry = image.get(&keys::under(keys::ALARMS, server))?;
    parse(entry.as_ref()).ok().filter(|alarm: &Alarm| alarm.fence == fence)
}

/// What a leader hears of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Crowd {
    /// Agents that are heard.
    pub(crate) heard: usize,
    /// These, and those that are not given up.
    pub(crate) known: usize,
}

impl Crowd {
    /// Whether fewer than half are heard.
    pub(crate) const fn is_thin(self) -> bool {
        2 * self.heard < self.known
    }
}

/// What all others say of one lead.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Alarms {
    /// Servers that live, without the leader.
    others: usize,
    /// Those of them that say something.
    raised: Vec<Alarm>,
}

impl Alarms {
    /// What `image` has about the lead of `own` with that fence.
    pub(crate) fn of(image: &Image, own: &str, fence: u64) -> Self {
        let others = servers::all(image).into_iter().filter(|server| server.name != own);
        let others: Vec<_> = others.collect();
        let raised = others.iter().filter_map(|server| self::of(image, &server.name, fence));
        Self { raised: raised.collect(), others: others.len() }
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.raised.is_empty()
    }

    /// Why a leader that is slow should give way to another one.
    pub(crate) fn against_slow(&self) -> Option<Reason> {
        let text = "this server stands still or waits for the engine again and again, and others do not";
        let is_fast = self.raised.iter().any(|alarm| alarm.is_fast);
        is_fast.then(|| Reason::new(format!("{text}: another one shall lead")))
    }

    /// Why this leader should give way to another one. While `is_growing`, agents find their way to it.
    pub(crate) fn against(&self, crowd: Crowd, is_growing: bool) -> Option<Reason> {
        let Crowd { heard, known } = crowd;
        if !crowd.is_thin() {
            return None;
        }
        let silent = self.raised.iter().filter(|alarm| alarm.is_silent).count();
        if silent > 0 && silent == self.others {
            let text = format!(
                "no other server reaches this one any more, and it hears {heard} of {known} agents: another one shall lead"
            );
            return Some(Reason::new(text));
        }
        // Each agent may have asked several servers.
        let seekers = self.raised.iter().map(|alarm| alarm.seekers).max().unwrap_or(0);
        (seekers > heard && !is_growing).then(|| {
            let text = format!(
                "{seekers} agents look for this server elsewhere, and it hears {heard} of {known}: another one shall lead"
            );
            Reason::new(text)
        })
    }
}

/// How long an engine may take to save an alarm; then it is tried again.
const PATIENCE: Duration = Duration::from_secs(3);
/// Between two numbers of agents that are told.
const COUNT_EVERY: Duration = Duration::from_secs(1);

/// What this server says, and has said.
pub(crate) struct Voice {
    store: Arc<dyn Store>,
    own: String,
    /// What stands in the engine, as far as is known: an earlier life may have left something there.
    told: Option<Option<Alarm>>,
    not_before: Instant,
}

impl Voice {
    pub(crate) fn new(store: Arc<dyn Store>, own: String) -> Self {
        Self { store, own, told: None, not_before: Instant::now() }
    }

    /// Says so, or that nothing is wrong, unless the others know.
    pub(crate) async fn say(&mut self, alarm: Option<Alarm>) {
        let is_count = matches!((self.told, alarm), (Some(Some(old)), Some(new)) if Alarm { seekers: new.seekers, ..old } == new);
        if self.told == Some(alarm) || is_count && Instant::now() < self.not_before {
            return;
        }
        let key = keys::under(keys::ALARMS, &self.own);
        let commit = match alarm {
            Some(alarm) => {
                Commit::new().put(key, serde_json::to_vec(&alarm).expect("an alarm is plain data"))
            }
            None => Commit::new().delete(key),
        };
        match tokio::time::timeout(PATIENCE, self.store.commit(commit)).await {
            Ok(Ok(_)) => {
                log(self.told.flatten().unwrap_or_default(), alarm.unwrap_or_default());
                self.told = Some(alarm);
                self.not_before = Instant::now() + COUNT_EVERY;
            }
            Ok(Err(error)) => tracing::debug!(%error, "an alarm about the leader cannot be told yet"),
            Err(_) => {}
        }
    }
}

fn log(before: Alarm, now: Alarm) {
    if now.is_silent && !before.is_silent {
        tracing::warn!("the leader's door is silent; another server may have to lead");
    }
    if now.is_slow && !before.is_slow {
        tracing::warn!(
            "this leader stands still or waits for the engine again and again; the others look whether they do"
        );
    }
    if now.is_fast && !before.is_fast {
        tracing::warn!("the leader is slow, and this server is not; another one may have to lead");
    }
}

#[cfg(test)]
mod tests;
