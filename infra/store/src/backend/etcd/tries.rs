//! The tries of one call: how long each may take, how long to wait in between, when to give up.

use std::time::Duration;

use kogge_host::backoff::Backoff;
use tokio::time::{Instant, sleep_until};

use super::link::{Effort, Failure, Link};

const FIRST_WAIT: Duration = Duration::from_millis(50);
const LONGEST_WAIT: Duration = Duration::from_millis(500);

/// See the module.
pub(super) struct Tries {
    begun: Instant,
    deadline: Instant,
    members: usize,
    failed: usize,
    introduced: bool,
    /// An earlier try may have had its effect.
    pub(super) was_unclear: bool,
    wait: Backoff,
}

impl Tries {
    pub(super) fn new(deadline: Instant, members: usize) -> Self {
        let (begun, wait) = (Instant::now(), Backoff::new(FIRST_WAIT, LONGEST_WAIT));
        Self { begun, deadline, members, failed: 0, introduced: false, was_unclear: false, wait }
    }

    /// When to stop waiting for this try: what can be asked again is, of another member, while there is time.
    pub(super) fn attempt_ends(&self, effort: Effort) -> Instant {
        match effort {
            Effort::Once => self.deadline,
            Effort::Repeat | Effort::RepeatStale => {
                let whole = self.deadline.saturating_duration_since(self.begun);
                self.deadline.min(Instant::now() + whole / 2)
            }
        }
    }

    /// Whether the token may be asked for: once a call.
    pub(super) fn may_introduce(&mut self) -> bool {
        !std::mem::replace(&mut self.introduced, true)
    }

    /// Waits until the next try makes sense. While all members are known to be away, each call tries them only once.
    pub(super) async fn wait_or_give_up(
        &mut self,
        link: &Link,
        reason: String,
        retry_at: Option<Instant>,
    ) -> Result<(), Failure> {
        self.failed += 1;
        let has_asked_all = retry_at.is_some() || self.failed.is_multiple_of(self.members);
        let next = match retry_at {
            Some(at) => at,
            None if has_asked_all => Instant::now() + jittered(self.wait.wait()),
            None => Instant::now(),
        };
        if next >= self.deadline || (has_asked_all && link.is_away()) {
            // A call in a hurry proves nothing.
            if self.deadline.duration_since(self.begun) * 2 > link.config.request_deadline {
                link.note_away(true);
            }
            return Err(Failure::Away(reason));
        }
        sleep_until(next).await;
        Ok(())
    }
}

/// Between four and six fifths of `wait`, so that those who failed together do not come back together.
pub(super) fn jittered(wait: Duration) -> Duration {
    wait.mul_f64(0.8 + 0.4 * f64::from(chance()) / 255.0)
}

pub(super) fn chance() -> u8 {
    // Without the kernel's generator there is no jitter, and nothing else is lost.
    kogge_host::seed::draw().map_or(0, |seed| seed[0])
}
