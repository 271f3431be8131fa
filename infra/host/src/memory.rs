//! What memory a process holds, as the kernel accounts it.

use std::io;

/// Memory of one process, in bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Footprint {
    /// Proportional set size: shared pages are divided among those who share them.
    pub pss_bytes: u64,
    /// Pages that only this process holds.
    pub private_bytes: u64,
}

/// Reads `/proc/PID/smaps_rollup` (proc(5)).
///
/// # Errors
/// When the process is gone or not ours to read.
pub fn footprint(pid: u32) -> io::Result<Footprint> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?;
    let kib = |key: &str| -> u64 {
        let line = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'));
        line.and_then(|rest| rest.trim().trim_end_matches(" kB").trim().parse().ok()).unwrap_or(0)
    };
    Ok(Footprint {
        pss_bytes: kib("Pss") * 1024,
        private_bytes: (kib("Private_Clean") + kib("Private_Dirty")) * 1024,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_holds_some_memory() {
        let own = footprint(std::process::id()).unwrap();
        assert!(own.pss_bytes > 100_000 && own.private_bytes > 0, "{own:?}");
    }
}
