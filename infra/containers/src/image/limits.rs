//! How much a stranger's archive may ask of this machine.

/// Bounds for loading one image. Whatever passes one is refused, and what was written of it is removed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of one layer or archive after unpacking.
    pub unpacked_bytes: u64,
    /// Bytes of one blob as it is stored or sent.
    pub blob_bytes: u64,
    /// Entries of one layer or archive.
    pub entries: u64,
    /// Growth while unpacking, times the packed size.
    pub ratio: u64,
    /// Bytes to which the ratio does not apply: small honest layers can be very dense.
    pub ratio_free_bytes: u64,
    /// Bytes of one extended header: long names and attributes.
    pub header_bytes: u64,
    /// Directories on the way to an entry.
    pub depth: usize,
    /// Longest silence of an upload or a registry, in seconds.
    pub idle_seconds: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            unpacked_bytes: 32 << 30,
            blob_bytes: 16 << 30,
            entries: 2_000_000,
            ratio: 200,
            ratio_free_bytes: 256 << 20,
            header_bytes: 1 << 20,
            depth: 256,
            idle_seconds: 60,
        }
    }
}
