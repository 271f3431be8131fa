//! What a task uses.

use kogge_model::log_record::LogCount;
use kogge_model::time::Timestamp;
use serde::{Deserialize, Serialize};

/// One look at a task's cgroup and log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct TaskStats {
    /// When.
    pub at: Timestamp,
    /// Processor time used so far, in microseconds whatever the cgroup version.
    pub cpu_usage_us: u64,
    /// Time in which the task wanted to run but had used up its quota, in microseconds.
    pub cpu_throttled_us: u64,
    /// Memory in use, page cache included.
    pub mem_bytes: u64,
    /// Memory in use without file pages that can be dropped at once.
    pub mem_working_set_bytes: u64,
    /// The limit that is set now.
    pub mem_limit_bytes: u64,
    /// Processes killed for lack of memory so far.
    pub oom_kills: u64,
    /// Processes and threads.
    pub pids: u64,
    /// Everything the task has written.
    pub logged: LogCount,
    /// What of that could not be kept because writing failed.
    pub log_lost: LogCount,
}
