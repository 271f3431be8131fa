//! Agents that came to this server although it does not lead, and were told who does.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use kogge_model::id::AgentId;

/// An agent that has not come back for so long has found its way: one that has not needs less for a round through all
/// servers.
const LATELY: Duration = Duration::from_secs(10);
/// More need not be counted.
const MOST: usize = 65_536;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Seekers(Mutex<BTreeMap<AgentId, Instant>>);

impl Seekers {
    /// An agent was sent on.
    pub(crate) fn note(&self, agent: &AgentId, now: Instant) {
        let mut all = self.all();
        if all.len() < MOST || all.contains_key(agent) {
            all.insert(agent.clone(), now);
        }
    }

    /// How many there were lately.
    pub(crate) fn count(&self, now: Instant) -> usize {
        let mut all = self.all();
        all.retain(|_, at| now.saturating_duration_since(*at) < LATELY);
        all.len()
    }

    /// Another one leads: nobody has looked for that one yet.
    pub(crate) fn clear(&self) {
        self.all().clear();
    }

    fn all(&self) -> MutexGuard<'_, BTreeMap<AgentId, Instant>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_agent_counts_once_and_not_for_ever() {
        let (seekers, begin) = (Seekers::default(), Instant::now());
        for (agent, seconds) in [("a1", 0), ("a2", 3), ("a1", 4)] {
            seekers.note(&AgentId::new(agent), begin + Duration::from_secs(seconds));
        }
        let count = |seconds| seekers.count(begin + Duration::from_secs(seconds));
        assert_eq!([count(4), count(13), count(14)], [2, 1, 0]);
        seekers.note(&AgentId::new("a1"), begin);
        seekers.clear();
        assert_eq!(seekers.count(begin), 0);
    }
}
