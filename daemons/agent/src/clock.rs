//! The agent's time: the wall clock at its start, from then on steady. Deadlines do not follow a clock that jumps.

use std::time::Instant;

use kogge_model::time::Timestamp;

/// Tells the time. Copies tell the same.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock {
    started_at: Timestamp,
    since: Instant,
}

impl Clock {
    pub(crate) fn start() -> Self {
        Self { started_at: kogge_host::clock::now(), since: Instant::now() }
    }

    pub(crate) fn now(self) -> Timestamp {
        self.started_at.plus(self.since.elapsed())
    }

    /// Waits until `deadline`, or for ever when there is none.
    pub(crate) async fn sleep_until(self, deadline: Option<Timestamp>) {
        match deadline {
            Some(at) => tokio::time::sleep(at.saturating_since(self.now())).await,
            None => std::future::pending().await,
        }
    }
}
