//! Processes, known by number and time of start: a number alone may be somebody else's by now.

use std::fs;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};

use super::BedError;

/// One process, for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ProcessId {
    /// Its number.
    pub pid: u32,
    /// When it started, in clock ticks since the machine did.
    pub started: u64,
}

/// What a process does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProcessState {
    /// It runs, or could.
    Running,
    /// It was stopped by a signal.
    Paused,
    /// It is gone, or nothing but an entry that its parent has not looked at.
    Gone,
}

impl ProcessId {
    /// The process that has this number now.
    #[must_use]
    pub fn of(pid: u32) -> Option<Self> {
        let (_, started) = look(pid)?;
        Some(Self { pid, started })
    }

    /// This process.
    ///
    /// # Panics
    /// Where `/proc` is not mounted.
    #[must_use]
    pub fn own() -> Self {
        Self::of(std::process::id()).expect("this process is in /proc")
    }

    /// What it does now.
    #[must_use]
    pub fn state(&self) -> ProcessState {
        match look(self.pid) {
            Some((state, started)) if started == self.started => state,
            _ => ProcessState::Gone,
        }
    }

    /// The process that started it, or took it over.
    pub(crate) fn parent(&self) -> Option<u32> {
        let line = fs::read_to_string(format!("/proc/{}/stat", self.pid)).ok()?;
        line.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
    }

    /// Whether it is there, be it paused.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        self.state() != ProcessState::Gone
    }

    /// Sends it a signal. Nothing happens when it is gone.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn signal(&self, signal: Signal) -> Result<(), BedError> {
        if !self.is_alive() {
            return Ok(());
        }
        let pid = Pid::from_raw(i32::try_from(self.pid).expect("the kernel's numbers of processes fit"));
        match kill(pid, signal) {
            Ok(()) | Err(nix::errno::Errno::ESRCH) => Ok(()),
            Err(errno) => Err(BedError::Io {
                what: format!("send {signal} to process {}", self.pid),
                source: errno.into(),
            }),
        }
    }
}

/// All processes of the machine.
pub(crate) fn all() -> Vec<ProcessId> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    let numbers = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    numbers.filter_map(ProcessId::of).filter(ProcessId::is_alive).collect()
}

fn look(pid: u32) -> Option<(ProcessState, u64)> {
    parse(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

/// State and start out of a line of `/proc/PID/stat` (proc(5)): fields 3 and 22. The second may hold anything, also
/// spaces and parentheses.
fn parse(line: &str) -> Option<(ProcessState, u64)> {
    let fields: Vec<&str> = line.rsplit_once(')')?.1.split_whitespace().collect();
    let state = match *fields.first()? {
        "Z" | "X" | "x" => ProcessState::Gone,
        "T" | "t" => ProcessState::Paused,
        _ => ProcessState::Running,
    };
    Some((state, fields.get(19)?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_parentheses_hides_neither_state_nor_start() {
        let line = "7 (a) Z) b) T 1 7 7 0 -1 4 0 0 0 0 0 0 0 0 20 0 1 0 4711 0 0";
        assert_eq!(parse(line), Some((ProcessState::Paused, 4711)));
        assert_eq!(parse("7 (x) Z 1 7 7 0 -1 4 0 0 0 0 0 0 0 0 20 0 1 0 9").unwrap().0, ProcessState::Gone);
        assert_eq!(parse("7 (x) S 1"), None);
    }

    #[test]
    fn another_process_with_the_same_number_is_not_meant() {
        let own = ProcessId::own();
        assert_eq!(own.state(), ProcessState::Running);
        let other = ProcessId { started: own.started + 1, ..own };
        assert_eq!(other.state(), ProcessState::Gone);
        other.signal(Signal::SIGKILL).unwrap();
    }
}
