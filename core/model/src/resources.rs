//! Quantities of an agent, an offer or a task.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::port::PortSet;

/// Thousandths of a core.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CpuMillis(pub u64);

/// Bytes of memory or disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Bytes(pub u64);

impl Bytes {
    /// `n` MiB.
    #[must_use]
    pub const fn mib(n: u64) -> Self {
        Self(n << 20)
    }

    /// `n` GiB.
    #[must_use]
    pub const fn gib(n: u64) -> Self {
        Self(n << 30)
    }
}

impl fmt::Display for CpuMillis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:02}", self.0 / 1000, self.0 % 1000 / 10)
    }
}

/// In the largest binary unit that leaves at least one: `512 MiB`.
impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (unit, shift) = match self.0 {
            0..0x400 => return write!(f, "{} B", self.0),
            0x400..0x10_0000 => ("KiB", 10),
            0x10_0000..0x4000_0000 => ("MiB", 20),
            _ => ("GiB", 30),
        };
        let tenths = (u128::from(self.0) * 10) >> shift;
        if tenths.is_multiple_of(10) {
            write!(f, "{} {unit}", tenths / 10)
        } else {
            write!(f, "{}.{} {unit}", tenths / 10, tenths % 10)
        }
    }
}

/// What an agent has, an offer holds or a task takes.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Resources {
    /// Processor time.
    pub cpu_millis: CpuMillis,
    /// Memory.
    pub mem_bytes: Bytes,
    /// Disk.
    pub disk_bytes: Bytes,
    /// Host ports.
    #[serde(default, skip_serializing_if = "PortSet::is_empty")]
    pub ports: PortSet,
}

impl Resources {
    /// Whether `other` fits into `self` in every dimension.
    #[must_use]
    pub fn contains(&self, other: &Self) -> bool {
        self.cpu_millis >= other.cpu_millis
            && self.mem_bytes >= other.mem_bytes
            && self.disk_bytes >= other.disk_bytes
            && self.ports.contains_all(&other.ports)
    }

    /// Takes `other` out of `self`.
    ///
    /// # Panics
    /// When `other` is not contained: over-commit is a broken promise of ours, not an error.
    pub fn take(&mut self, other: &Self) {
        assert!(self.contains(other), "took {other} out of {self}");
        self.cpu_millis.0 -= other.cpu_millis.0;
        self.mem_bytes.0 -= other.mem_bytes.0;
        self.disk_bytes.0 -= other.disk_bytes.0;
        for port in other.ports.iter() {
            self.ports.remove(port);
        }
    }

    /// Puts `other` back.
    ///
    /// # Panics
    /// When a port of `other` is already there: it was given out twice.
    pub fn give_back(&mut self, other: &Self) {
        self.cpu_millis.0 += other.cpu_millis.0;
        self.mem_bytes.0 += other.mem_bytes.0;
        self.disk_bytes.0 += other.disk_bytes.0;
        for port in other.ports.iter() {
            assert!(self.ports.insert(port), "port {port} was given back twice");
        }
    }

    /// Whether nothing is left or asked for.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl fmt::Display for Resources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cpus {}, memory {}, disk {}", self.cpu_millis, self.mem_bytes, self.disk_bytes)?;
        if self.ports.is_empty() { Ok(()) } else { write!(f, ", ports {}", self.ports) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_read_well() {
        for (bytes, text) in [(0, "0 B"), (1536, "1.5 KiB"), (512 << 20, "512 MiB"), (3 << 30, "3 GiB")] {
            assert_eq!(Bytes(bytes).to_string(), text);
        }
        assert_eq!(CpuMillis(1250).to_string(), "1.25");
    }

    #[test]
    fn taking_and_giving_back_leaves_the_same() {
        let port = crate::port::Port::new(31_000).unwrap();
        let whole = Resources {
            cpu_millis: CpuMillis(2000),
            mem_bytes: Bytes::gib(1),
            disk_bytes: Bytes::gib(5),
            ports: PortSet::range(port, crate::port::Port::new(31_009).unwrap()),
        };
        let part = Resources {
            cpu_millis: CpuMillis(500),
            mem_bytes: Bytes::mib(100),
            ports: PortSet::range(port, port),
            ..Resources::default()
        };
        let mut left = whole.clone();
        left.take(&part);
        assert!(!left.ports.contains(port) && whole.contains(&left));
        left.give_back(&part);
        assert_eq!(left, whole);
    }
}
