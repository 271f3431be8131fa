//! Limits of one task. They are always set: there is no "unlimited".

use oci_spec::runtime::{
    LinuxCpuBuilder, LinuxMemoryBuilder, LinuxPidsBuilder, LinuxResources, LinuxResourcesBuilder,
    PosixRlimit, PosixRlimitBuilder, PosixRlimitType,
};

use super::devices;
use super::error::BundleError;

/// With less processor time than one hundredth of a core, a program does not start in reasonable time.
pub const MIN_CPU_MILLIS: u64 = 10;
/// With less memory, the kernel kills a process before its first instruction.
pub const MIN_MEM_BYTES: u64 = 4 << 20;
/// The kernel's usual period of the processor quota, in microseconds.
const CPU_PERIOD_US: u64 = 100_000;
/// The range of cgroup v1's `cpu.shares`.
const SHARES: std::ops::RangeInclusive<u64> = 2..=262_144;

/// What one task may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TaskLimits {
    /// Thousandths of a core: both the share under load and the ceiling.
    pub cpu_millis: u64,
    /// Memory in bytes.
    pub mem_bytes: u64,
    /// Swap in bytes on top of the memory.
    pub swap_bytes: u64,
    /// Processes and threads.
    pub pids: u32,
    /// Open files of each process.
    pub open_files: u32,
}

impl TaskLimits {
    pub(crate) fn check(&self) -> Result<(), BundleError> {
        for (field, value, least) in [
            ("cpu", self.cpu_millis, MIN_CPU_MILLIS),
            ("memory", self.mem_bytes, MIN_MEM_BYTES),
            ("pids", u64::from(self.pids), 1),
            ("open files", u64::from(self.open_files), 16),
        ] {
            if value < least {
                return Err(BundleError::TooSmall { field, value, least });
            }
        }
        Ok(())
    }

    pub(crate) fn to_resources(self) -> Result<LinuxResources, BundleError> {
        let signed = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
        let shares = (self.cpu_millis.saturating_mul(1024) / 1000).clamp(*SHARES.start(), *SHARES.end());
        let quota = self.cpu_millis.saturating_mul(CPU_PERIOD_US) / 1000;
        let cpu =
            LinuxCpuBuilder::default().shares(shares).quota(signed(quota)).period(CPU_PERIOD_US).build()?;
        // `swap` counts memory and swap together (runtime-spec, config-linux.md, "Memory").
        let memory = LinuxMemoryBuilder::default()
            .limit(signed(self.mem_bytes))
            .swap(signed(self.mem_bytes.saturating_add(self.swap_bytes)))
            .build()?;
        let pids = LinuxPidsBuilder::default().limit(i64::from(self.pids)).build()?;
        let resources = LinuxResourcesBuilder::default()
            .devices(devices::rules()?)
            .cpu(cpu)
            .memory(memory)
            .pids(pids)
            .build()?;
        Ok(resources)
    }

    /// No core files: they would fill the disk, and the host may pipe them into a program of its own.
    pub(crate) fn to_rlimits(self) -> Result<Vec<PosixRlimit>, BundleError> {
        let limit = |typ, value: u64| PosixRlimitBuilder::default().typ(typ).soft(value).hard(value).build();
        let open_files = limit(PosixRlimitType::RlimitNofile, u64::from(self.open_files))?;
        Ok(vec![open_files, limit(PosixRlimitType::RlimitCore, 0)?])
    }
}
