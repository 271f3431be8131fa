//! A framework as the kernel sees it.

use std::collections::BTreeSet;
use std::time::Duration;

use kogge_model::id::{FrameworkId, OfferId, RunId, TaskId};
use kogge_model::scheduler::FrameworkInfo;
use kogge_model::time::Timestamp;

use crate::quantity::Quantities;
use crate::share::Share;

/// One framework.
#[derive(Debug, Clone)]
pub(crate) struct Framework {
    pub(crate) info: FrameworkInfo,
    pub(crate) is_connected: bool,
    pub(crate) is_suppressed: bool,
    /// Torn down: it gets nothing new and leaves with its last task.
    pub(crate) is_ending: bool,
    /// Counts its revivals; an older refusal is void.
    pub(crate) revival: u64,
    /// What its live tasks and its offers hold.
    pub(crate) allocated: Quantities,
    /// Its tasks with a record, given up ones excluded, in the order of their launches.
    pub(crate) tasks: BTreeSet<(RunId, TaskId)>,
    pub(crate) offers: BTreeSet<OfferId>,
    /// When it is torn down unless it is back by then.
    pub(crate) failover_at: Option<Timestamp>,
}

impl Framework {
    pub(crate) const fn new(info: FrameworkInfo) -> Self {
        Self {
            info,
            is_connected: false,
            is_suppressed: false,
            is_ending: false,
            revival: 0,
            allocated: Quantities {
                cpu_millis: kogge_model::resources::CpuMillis(0),
                mem_bytes: kogge_model::resources::Bytes(0),
                disk_bytes: kogge_model::resources::Bytes(0),
            },
            tasks: BTreeSet::new(),
            offers: BTreeSet::new(),
            failover_at: None,
        }
    }

    /// A framework whose record is missing though it has tasks: it is waited for without end, because absence of
    /// state is no order to kill (G4).
    pub(crate) fn unrecorded(framework: &FrameworkId) -> Self {
        Self::new(FrameworkInfo {
            framework: framework.clone(),
            name: framework.to_string(),
            weight_millis: 1000,
            failover_ms: u64::MAX,
        })
    }

    pub(crate) const fn wants_offers(&self) -> bool {
        self.is_connected && !self.is_suppressed && !self.is_ending
    }

    pub(crate) fn share(&self, whole: &Quantities) -> Share {
        Share::of(&self.allocated, whole, self.info.weight_millis)
    }

    pub(crate) const fn failover(&self) -> Duration {
        Duration::from_millis(self.info.failover_ms)
    }
}
