//! Limits that change while the task runs.

use std::io;
use std::path::Path;

use super::{Cgroup, read_number, write};
use crate::protocol::LimitChange;

/// The period over which a quota is counted, in microseconds.
const CPU_PERIOD_US: u64 = 100_000;

/// The kernel refuses smaller quotas.
const MIN_QUOTA_US: u64 = 1_000;

impl Cgroup {
    /// Sets the limits that are given.
    ///
    /// # Errors
    /// When the kernel refuses one, for instance memory below what is in use (v1); earlier ones stay set.
    pub fn update(&self, change: &LimitChange) -> io::Result<()> {
        if let Some(mem) = change.mem_bytes {
            self.limit_memory(mem.0)?;
        }
        if let Some(cpu) = change.cpu_millis {
            self.limit_cpu(cpu.0)?;
        }
        if let Some(pids) = change.pids {
            write(&self.layout.of("pids")?.join("pids.max"), &pids.to_string())?;
        }
        Ok(())
    }

    /// On v2 swap has a limit of its own, and the library takes a limit of 0 for none. On v1 it is part of the limit of
    /// memory and swap together, which the library sets. Kernels without swap have no such file.
    pub(crate) fn forbid_swap(&self) -> io::Result<()> {
        let file = self.layout.of("memory")?.join("memory.swap.max");
        if self.layout.is_unified() && file.exists() { write(&file, "0") } else { Ok(()) }
    }

    fn limit_memory(&self, bytes: u64) -> io::Result<()> {
        let dir = self.layout.of("memory")?;
        if self.layout.is_unified() {
            return write(&dir.join("memory.max"), &bytes.to_string());
        }
        let (memory, with_swap) =
            (dir.join("memory.limit_in_bytes"), dir.join("memory.memsw.limit_in_bytes"));
        // Memory may never exceed memory and swap together, not even between the two writes.
        let is_growing = with_swap.exists() && read_number(&with_swap)? < bytes;
        let order: [&Path; 2] = if is_growing { [&with_swap, &memory] } else { [&memory, &with_swap] };
        for file in order.into_iter().filter(|file| file.exists()) {
            write(file, &bytes.to_string())?;
        }
        Ok(())
    }

    fn limit_cpu(&self, millis: u64) -> io::Result<()> {
        let dir = self.layout.of("cpu")?;
        let quota_us = (millis * CPU_PERIOD_US / 1_000).max(MIN_QUOTA_US);
        let shares = cpu_shares(millis);
        if self.layout.is_unified() {
            write(&dir.join("cpu.max"), &format!("{quota_us} {CPU_PERIOD_US}"))?;
            return write(&dir.join("cpu.weight"), &cpu_weight(shares).to_string());
        }
        write(&dir.join("cpu.cfs_period_us"), &CPU_PERIOD_US.to_string())?;
        write(&dir.join("cpu.cfs_quota_us"), &quota_us.to_string())?;
        write(&dir.join("cpu.shares"), &shares.to_string())
    }
}

/// v1 shares: 1024 a core, within the kernel's bounds.
fn cpu_shares(millis: u64) -> u64 {
    (millis * 1_024 / 1_000).clamp(2, 262_144)
}

/// v2 weight of v1 shares, as the OCI runtimes convert: 2..=262144 to 1..=10000.
const fn cpu_weight(shares: u64) -> u64 {
    1 + (shares - 2) * 9_999 / 262_142
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_and_weight_stay_within_the_kernels_bounds() {
        assert_eq!((cpu_shares(0), cpu_shares(1_000), cpu_shares(u64::from(u32::MAX))), (2, 1_024, 262_144));
        assert_eq!((cpu_weight(2), cpu_weight(1_024), cpu_weight(262_144)), (1, 39, 10_000));
    }
}
