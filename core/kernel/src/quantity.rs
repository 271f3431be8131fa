//! Sums of what can be summed: resources without their ports.

use kogge_model::resources::{Bytes, CpuMillis, Resources};

/// Processor time, memory and disk of many tasks or agents together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Quantities {
    /// Processor time.
    pub cpu_millis: CpuMillis,
    /// Memory.
    pub mem_bytes: Bytes,
    /// Disk.
    pub disk_bytes: Bytes,
}

impl Quantities {
    /// The sums in `resources`.
    #[must_use]
    pub const fn of(resources: &Resources) -> Self {
        Self {
            cpu_millis: resources.cpu_millis,
            mem_bytes: resources.mem_bytes,
            disk_bytes: resources.disk_bytes,
        }
    }

    pub(crate) const fn add(&mut self, resources: &Resources) {
        self.cpu_millis.0 += resources.cpu_millis.0;
        self.mem_bytes.0 += resources.mem_bytes.0;
        self.disk_bytes.0 += resources.disk_bytes.0;
    }

    /// Takes back what was added before.
    pub(crate) fn sub(&mut self, resources: &Resources) {
        let left = self.cpu_millis.0.checked_sub(resources.cpu_millis.0).zip(
            self.mem_bytes
                .0
                .checked_sub(resources.mem_bytes.0)
                .zip(self.disk_bytes.0.checked_sub(resources.disk_bytes.0)),
        );
        let (cpu, (mem, disk)) = left.expect("only what was added is taken back");
        *self = Self { cpu_millis: CpuMillis(cpu), mem_bytes: Bytes(mem), disk_bytes: Bytes(disk) };
    }

    /// What `whole` has beyond `self`, nothing where it has less.
    pub(crate) const fn left_of(&self, whole: &Resources) -> Self {
        Self {
            cpu_millis: CpuMillis(whole.cpu_millis.0.saturating_sub(self.cpu_millis.0)),
            mem_bytes: Bytes(whole.mem_bytes.0.saturating_sub(self.mem_bytes.0)),
            disk_bytes: Bytes(whole.disk_bytes.0.saturating_sub(self.disk_bytes.0)),
        }
    }

    pub(crate) const fn fit(&self, whole: &Resources) -> bool {
        self.cpu_millis.0 <= whole.cpu_millis.0
            && self.mem_bytes.0 <= whole.mem_bytes.0
            && self.disk_bytes.0 <= whole.disk_bytes.0
    }
}
