//! A leader that is reached by nobody gives way: see `alarm.rs`.

use std::time::{Duration, Instant};

use kogge_host::tasks::{OnPanic, TaskGroup};
use kogge_kernel::Phase;

use crate::alarm::{Alarms, Crowd};
use crate::cloud::Cloud;
use crate::copy::Copy;
use crate::handle::Handle;
use crate::leading::COURTESY;
use crate::servers;

/// Between two looks at what the others say.
const EVERY: Duration = Duration::from_millis(250);
/// When no further agent has come for so long, no more are on their way.
const STEADY: Duration = Duration::from_secs(2);
/// Who gave way does not do so again before: when nobody can be reached, the lead need not go round and round.
const AGAIN: Duration = Duration::from_secs(30);

/// Looks until `group` ends.
pub(crate) fn heed(handle: Handle, copy: Copy, own: String, group: &TaskGroup) {
    let token = group.token();
    group.spawn("alarms about this leader", OnPanic::Log, async move {
        let mut heed = Heed { handle, copy, own, trend: None, not_before: Instant::now() };
        let heeding = async {
            loop {
                tokio::time::sleep(EVERY).await;
                heed.look().await;
            }
        };
        tokio::select! {
            () = token.cancelled() => {}
            () = heeding => {}
        }
    });
}

/// How many were heard, during one lead, and since when there were no more.
#[derive(Debug, Clone, Copy)]
struct Trend {
    fence: u64,
    heard: usize,
    since: Instant,
}

struct Heed {
    handle: Handle,
    copy: Copy,
    own: String,
    trend: Option<Trend>,
    not_before: Instant,
}

impl Heed {
    async fn look(&mut self) {
        let Some((fence, alarms)) = self.alarms() else { return self.trend = None };
        // Whoever has no time for this is heard, and reached.
        let Ok(crowd) = self.handle.look(|cloud, _| Ok(crowd(cloud))).await else { return };
        let is_growing = self.is_growing(fence, crowd.heard, Instant::now());
        let Some(reason) = alarms.against(crowd, is_growing) else { return };
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

    fn is_growing(&mut self, fence: u64, heard: usize, now: Instant) -> bool {
        let before = self.trend.filter(|trend| trend.fence == fence && trend.heard >= heard);
        let since = before.map_or(now, |trend| trend.since);
        self.trend = Some(Trend { fence, heard, since });
        now.saturating_duration_since(since) < STEADY
    }
}

fn crowd(cloud: &Cloud) -> Crowd {
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
    crowd
}
