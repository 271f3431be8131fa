//! The agent's time: the wall clock at its start, from then on steady, also while the machine sleeps. Deadlines do not
//! follow a clock that jumps.

use std::time::Duration;

use kogge_host::clock::since_boot;
use kogge_model::time::Timestamp;

/// Tells the time. Copies tell the same.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock {
    started_at: Timestamp,
    /// Of the machine's start.
    since: Duration,
}

impl Clock {
    pub(crate) fn start() -> Self {
        Self { started_at: kogge_host::clock::now(), since: since_boot() }
    }

    pub(crate) fn now(self) -> Timestamp {
        self.started_at.plus(since_boot().saturating_sub(self.since))
    }

    /// The same time `at`, as it is told to supervisors: since the machine's start.
    pub(crate) fn since_boot(self, at: Timestamp) -> Duration {
        self.since + at.saturating_since(self.started_at)
    }

    /// Waits until `deadline`, or for ever when there is none.
    pub(crate) async fn sleep_until(self, deadline: Option<Timestamp>) {
        match deadline {
            Some(at) => tokio::time::sleep(at.saturating_since(self.now())).await,
            None => std::future::pending().await,
        }
    }
}
