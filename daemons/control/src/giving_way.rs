//! A leader that is reached by nobody gives way (`alarm.rs`), and one that is slow (`pace.rs`).

use std::sync::Arc;
use std::time::{Duration, Instant};

use kogge_host::tasks::{OnPanic, TaskGroup};
use kogge_kernel::Phase;
use kogge_model::reason::Reason;
use kogge_model::time::Timestamp;

use crate::alarm::{Alarms, Crowd};
use crate::cloud::Cloud;
use crate::copy::Copy;
use crate::handle::Handle;
use crate::leading::COURTESY;
use crate::pace::Pace;
use crate::servers;

/// Between two looks at what the others say.
const EVERY: Duration = Duration::from_millis(250);
/// When no further agent has come for so long, no more are on their way.
const STEADY: Duration = Duration::from_secs(2);
/// Who gave way does not do so again before: when nobody can be reached, the lead need not go round and round.
const AGAIN: Duration = Duration::from_secs(30);

/// Cores that began to decide only just have not heard of everybody yet, however many there are: not after a write that
/// failed either.
const YOUNG: Duration = Duration::from_secs(5);

/// Looks until `group` ends.
pub(crate) fn heed(handle: Handle, copy: Copy, pace: Arc<Pace>, group: &TaskGroup) {
    let token = group.token();
    group.spawn("alarms about this leader", OnPanic::Log, async move {
        let own = handle.inner.facts.server.name.clone();
        let mut heed = Heed { handle, copy, own, pace, trend: None, not_before: Instant::now() };
        let heeding = async {
            loop {
                heed.rest().await;
                heed.look().await;
            }
        };
        tokio::select! {
            () = token.cancelled() => {}
            () = heeding => {}
        }
    });
}

/// How many are heard while they are few, and since when there are no more.
#[derive(Debug, Clone, Copy)]
struct Trend {
    fence: u64,
    heard: usize,
    since: Instant,
}

impl Trend {
    /// What became of it by `now`; none while enough are heard. Cores that were just made have heard nobody yet.
    fn goes_on(before: Option<Self>, fence: u64, crowd: Crowd, now: Instant) -> Option<Self> {
        let same = before.filter(|trend| trend.fence == fence && trend.heard >= crowd.heard);
        let since = same.map_or(now, |trend| trend.since);
        crowd.is_thin().then_some(Self { fence, heard: crowd.heard, since })
    }

    fn is_steady(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.since) >= STEADY
    }
}

struct Heed {
    handle: Handle,
    copy: Copy,
    own: String,
    pace: Arc<Pace>,
    trend: Option<Trend>,
    not_before: Instant,
}

impl Heed {
    /// Who is woken late stood still meanwhile, or has no processor.
    async fn rest(&self) {
        let begin = Instant::now();
        tokio::time::sleep(EVERY).await;
        self.pace.note(begin.elapsed().saturating_sub(EVERY), Instant::now());
    }

    async fn look(&mut self) {
        let Some((fence, alarms)) = self.alarms() else { return self.trend = None };
        if self.pace.is_slow(Instant::now())
            && let Some(reason) = alarms.against_slow()
        {
            return self.give_way(&reason).await;
        }
        // Whoever has no time for this is heard, and reached.
        let Ok(Some(crowd)) = self.handle.look(|cloud, now| Ok(crowd(cloud, now))).await else { return };
        let now = Instant::now();
        self.trend = Trend::goes_on(self.trend, fence, crowd, now);
        let is_growing = self.trend.is_none_or(|trend| !trend.is_steady(now));
        if let Some(reason) = alarms.against(crowd, is_growing) {
            self.give_way(&reason).await;
        }
    }

    async fn give_way(&mut self, reason: &Reason) {
        if Instant::now() < self.not_before {
            return;
        }
        tracing::warn!(%reason, "the lead is handed over");
        let given = self.handle.alter(|_, round| {
            round.courtesy = Some(COURTESY);
            Ok(())
        });
        if given.await.is_ok() {
            self.not_before = Instant::now() + AGAIN;
        }
    }

    /// What the others say of this server's lead; none if it does not lead, or nothing is said.
    fn alarms(&self) -> Option<(u64, Alarms)> {
        let image = self.copy.image();
        let elected = servers::elected(&image)?;
        elected.server.filter(|leader| leader.name == self.own)?;
        let alarms = Alarms::of(&image, &self.own, elected.fence);
        (!alarms.is_empty()).then_some((elected.fence, alarms))
    }
}

/// None of cores that are young.
fn crowd(cloud: &Cloud, now: Timestamp) -> Option<Crowd> {
    if now.saturating_since(cloud.begun) < YOUNG {
        return None;
    }
    let mut crowd = Crowd::default();
    for agent in cloud.kernel.view().agents() {
        match agent.phase() {
            Phase::Ready => {
                crowd.heard += 1;
                crowd.known += 1;
            }
            Phase::Suspect | Phase::Expected => crowd.known += 1,
            Phase::Lost => {}
        }
    }
    Some(crowd)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_are_heard_for_a_while_before_that_means_anything() {
        let begin = Instant::now();
        let mut trend = None;
        let mut steady = |fence: u64, heard: usize, ms: u64| {
            let now = begin + Duration::from_millis(ms);
            trend = Trend::goes_on(trend, fence, Crowd { heard, known: 10 }, now);
            trend.is_some_and(|trend| trend.is_steady(now))
        };
        assert!(!steady(1, 5, 0), "enough");
        assert!(!steady(1, 0, 3_000), "the cores were just made anew");
        assert!(!steady(1, 0, 4_900) && steady(1, 0, 5_000));
        assert!(!steady(1, 1, 5_100), "one came");
        assert!(!steady(1, 0, 7_000), "and went");
        assert!(steady(1, 0, 7_100));
        assert!(!steady(2, 0, 7_200), "another lead");
        assert!(!steady(2, 6, 8_000) && !steady(2, 0, 9_500));
    }
}
