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

/// Lets go of the pages of the program's own code: those that are needed again come back from the page cache as they
/// are called. Most of what a start maps is needed by nothing but the start.
///
/// # Errors
/// When the process cannot see what it has mapped, or the kernel refuses.
pub fn release_code() -> io::Result<()> {
    let program = std::fs::read_link("/proc/self/exe")?;
    let maps = std::fs::read_to_string("/proc/self/maps")?;
    for (first, length) in code_of(&program.to_string_lossy(), &maps) {
        advise_unneeded(first, length)?;
    }
    Ok(())
}

/// Gives memory that was freed back to the system. The allocator would keep it for later, which is right while much comes
/// and goes, and much when a large piece of work is over. Threads that allocate meanwhile wait.
#[cfg(target_env = "gnu")]
#[expect(unsafe_code, reason = "the allocator's own calls are foreign")]
pub fn release_freed() {
    // SAFETY: it touches nothing but what was freed (malloc_trim(3)).
    unsafe { libc::malloc_trim(0) };
}

/// Where `program` is mapped to be executed and never written to (proc(5)): first address and length.
fn code_of<'a>(program: &'a str, maps: &'a str) -> impl Iterator<Item = (usize, usize)> + 'a {
    maps.lines().filter_map(move |line| {
        let mut words = line.split_ascii_whitespace();
        let (range, rights) = (words.next()?, words.next()?);
        // Offset, device and inode come between.
        if rights != "r-xp" || words.nth(3)? != program {
            return None;
        }
        let (first, end) = range.split_once('-')?;
        let (first, end) = (usize::from_str_radix(first, 16).ok()?, usize::from_str_radix(end, 16).ok()?);
        Some((first, end.checked_sub(first)?))
    })
}

#[expect(unsafe_code, reason = "dropping pages is unsafe where they were written to")]
fn advise_unneeded(first: usize, length: usize) -> io::Result<()> {
    let start = std::ptr::with_exposed_provenance_mut(first);
    // SAFETY: the range is a private mapping of the program's file that nobody may write to, so each page holds what
    // the file does, and is read from there again when it is touched.
    match unsafe { libc::madvise(start, length, libc::MADV_DONTNEED) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_code_of_the_program_itself_is_let_go() {
        let maps = "00200000-009ed000 r--p 00000000 fd:00 71 /usr/bin/kogge\n\
                    009ee000-0269e000 r-xp 007ed000 fd:00 71 /usr/bin/kogge\n\
                    0269e000-026a5000 rw-p 0249c000 fd:00 71 /usr/bin/kogge\n\
                    7f0000000000-7f0000100000 r-xp 00000000 fd:00 72 /usr/lib/libc.so.6\n\
                    7f0000200000-7f0000300000 r-xp 00000000 00:00 0\n";
        assert_eq!(code_of("/usr/bin/kogge", maps).collect::<Vec<_>>(), [(0x9e_e000, 0x1cb_0000)]);
        assert_eq!(code_of("/usr/bin/other", maps).count(), 0);
    }

    #[test]
    fn a_process_goes_on_after_it_has_let_its_code_go() {
        release_code().unwrap();
        let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
        let program = std::fs::read_link("/proc/self/exe").unwrap();
        assert!(code_of(&program.to_string_lossy(), &maps).next().is_some());
    }

    #[test]
    fn this_process_holds_some_memory() {
        let own = footprint(std::process::id()).unwrap();
        assert!(own.pss_bytes > 100_000 && own.private_bytes > 0, "{own:?}");
    }
}
