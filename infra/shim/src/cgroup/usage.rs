//! What a task uses, in the same units on both versions.

use std::io;
use std::path::Path;

use super::{Cgroup, read_key, read_number};
use crate::protocol::TaskStats;

const NANOS_PER_MICRO: u64 = 1_000;

impl Cgroup {
    /// Processes the kernel has killed here for lack of memory.
    ///
    /// # Errors
    /// When the cgroup is gone.
    pub fn oom_kills(&self) -> io::Result<u64> {
        let dir = self.layout.of("memory")?;
        let file = if self.layout.is_unified() { "memory.events" } else { "memory.oom_control" };
        read_key(&dir.join(file), "oom_kill")
    }

    /// Fills in everything the cgroup knows.
    ///
    /// # Errors
    /// When the cgroup is gone.
    pub fn measure(&self, stats: &mut TaskStats) -> io::Result<()> {
        stats.oom_kills = self.oom_kills()?;
        stats.pids = read_number(&self.layout.of("pids")?.join("pids.current"))?;
        let (cpu, memory) = (self.layout.of("cpu")?, self.layout.of("memory")?);
        if self.layout.is_unified() {
            stats.cpu_usage_us = read_key(&cpu.join("cpu.stat"), "usage_usec")?;
            stats.cpu_throttled_us = read_key(&cpu.join("cpu.stat"), "throttled_usec")?;
            return measure_memory(memory, ["memory.current", "memory.max"], "inactive_file", stats);
        }
        let accounting = self.layout.of("cpuacct")?;
        stats.cpu_usage_us = read_number(&accounting.join("cpuacct.usage"))? / NANOS_PER_MICRO;
        stats.cpu_throttled_us = read_key(&cpu.join("cpu.stat"), "throttled_time")? / NANOS_PER_MICRO;
        measure_memory(
            memory,
            ["memory.usage_in_bytes", "memory.limit_in_bytes"],
            "total_inactive_file",
            stats,
        )
    }
}

fn measure_memory(
    dir: &Path,
    [usage, limit]: [&str; 2],
    reclaimable: &str,
    stats: &mut TaskStats,
) -> io::Result<()> {
    stats.mem_bytes = read_number(&dir.join(usage))?;
    stats.mem_limit_bytes = read_number(&dir.join(limit))?;
    let inactive = read_key(&dir.join("memory.stat"), reclaimable)?;
    stats.mem_working_set_bytes = stats.mem_bytes.saturating_sub(inactive);
    Ok(())
}
