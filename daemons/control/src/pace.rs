//! How fast this server is, and the engine for it. A leader that waits for either while others do not is worse than none:
//! everybody waits for its commits, and its lease goes on.
//!
//! ```text
//!   leader:  three times within ten seconds a commit took over one, or the process stood still ──▶ alarm/<leader>
//!   standby: nothing of that, and three commits of its own took a moment each ─────────────────▶ alarm/<standby>
//!   leader:  hands over (`giving_way.rs`)
//! ```
//!
//! If the others wait, too, it is the engine that is slow, or the machine of all: another leader would not help.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use kogge_store::{Commit, Store};

use crate::keys;

/// A longer wait is one too many.
const SLOW: Duration = Duration::from_secs(1);
/// So many of them make a slow leader,
const MANY: usize = 3;
/// if they ended within that time. So long, too, a leader may be busy with those who come to it.
const WITHIN: Duration = Duration::from_secs(10);

/// What a trial may take for the engine to be called fast: far from slow.
const FAST: Duration = Duration::from_millis(250);
/// Commits of a trial: one alone may have been lucky. The last one removes what the others wrote.
const TRIALS: usize = 3;

/// The long waits of this server, lately.
#[derive(Debug)]
pub(crate) struct Pace(Mutex<Waits>);

#[derive(Debug)]
struct Waits {
    /// When the last of them were over.
    ends: VecDeque<Instant>,
    /// Since when this server leads, if it has.
    leads_since: Option<Instant>,
}

impl Waits {
    fn lately(&self, now: Instant) -> usize {
        self.ends.iter().filter(|at| now.saturating_duration_since(**at) < WITHIN).count()
    }
}

impl Pace {
    /// Of a server that leads since then, or does not lead yet.
    pub(crate) fn new(leads_since: Option<Instant>) -> Self {
        Self(Mutex::new(Waits { leads_since, ends: VecDeque::new() }))
    }

    /// A wait for the engine, or for the processor, was over at `now`.
    pub(crate) fn note(&self, wait: Duration, now: Instant) {
        if wait > SLOW {
            let ends = &mut self.waits().ends;
            ends.push_back(now);
            if ends.len() > MANY {
                ends.pop_front();
            }
        }
    }

    /// Whether this leader waits again and again.
    pub(crate) fn is_slow(&self, now: Instant) -> bool {
        let waits = self.waits();
        let is_settled =
            waits.leads_since.is_some_and(|since| now.saturating_duration_since(since) >= WITHIN);
        is_settled && waits.lately(now) >= MANY
    }

    /// Whether there was no long wait at all.
    pub(crate) fn is_steady(&self, now: Instant) -> bool {
        self.waits().lately(now) == 0
    }

    /// A lead begins.
    pub(crate) fn lead(&self, now: Instant) {
        *self.waits() = Waits { leads_since: Some(now), ends: VecDeque::new() };
    }

    fn waits(&self) -> MutexGuard<'_, Waits> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether the engine saves at once what the server `own` writes. Tries it: with three commits of a few bytes.
pub(crate) async fn is_engine_fast(store: &dyn Store, own: &str) -> bool {
    let key = keys::under(keys::TRIALS, own);
    for trial in 1..=TRIALS {
        let commit = Commit::new();
        let commit = if trial < TRIALS { commit.put(key.clone(), "") } else { commit.delete(key.clone()) };
        match tokio::time::timeout(FAST, store.commit(commit)).await {
            Ok(Ok(_)) => {}
            Ok(Err(_)) | Err(_) => return false,
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use kogge_store::Consistency;
    use kogge_store::backend::redb::{Embedded, Options};

    use super::*;

    #[test]
    fn three_long_waits_within_ten_seconds_are_a_slow_leader() {
        let begin = Instant::now();
        let pace = Pace::new(Some(begin));
        let note = |wait_ms, second| {
            let now = begin + Duration::from_secs(second);
            pace.note(Duration::from_millis(wait_ms), now);
            pace.is_slow(now)
        };
        assert!(!note(1_100, 7) && !note(1_100, 8) && !note(1_100, 9), "it leads since a moment ago");
        assert!(note(1, 10) && note(1, 16) && !note(1, 17));
        assert!(!note(1_100, 20) && !note(1_100, 21) && !note(1_000, 22), "two were long");
        assert!(!note(1_100, 30), "the first is too long ago");
        assert!(note(5_000, 30) && note(1, 30) && !note(1, 40));
        assert!(!pace.is_steady(begin + Duration::from_secs(39)));
        assert!(pace.is_steady(begin + Duration::from_secs(40)));
    }

    #[test]
    fn a_server_that_does_not_lead_is_no_slow_leader() {
        let (pace, begin) = (Pace::new(None), Instant::now());
        let later = begin + Duration::from_secs(20);
        (0..9).for_each(|_| pace.note(Duration::from_secs(2), later));
        assert!(!pace.is_slow(later));
        pace.lead(begin);
        assert!(!pace.is_slow(later), "what was before its lead does not count");
    }

    #[tokio::test]
    async fn an_engine_that_answers_is_fast() {
        let directory = tempfile::tempdir().unwrap();
        let store: Arc<dyn Store> =
            Arc::new(Embedded::open(directory.path(), Options::default()).await.unwrap());
        let mut was_fast = false;
        let deadline = Instant::now() + Duration::from_secs(30);
        while !was_fast && Instant::now() < deadline {
            was_fast = is_engine_fast(store.as_ref(), "s1").await;
        }
        assert!(was_fast);
        let key = keys::under(keys::TRIALS, "s1");
        let left = store.get(&key, Consistency::Linearizable).await.unwrap().entry;
        assert_eq!(left, None, "a trial leaves nothing behind");
    }
}
