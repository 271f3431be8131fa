//! The processes in a cgroup: list, freeze, signal, kill.

use std::fs;
use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::signal::Signal;
use nix::unistd::Pid;

use super::{Cgroup, RETRY_EVERY, read, read_key, write};
use crate::sys;

/// How long the kernel may take to freeze all processes.
const FREEZE_PATIENCE: Duration = Duration::from_millis(500);

impl Cgroup {
    /// Everyone in it and below, as the host counts. Empty when it is gone.
    ///
    /// # Errors
    /// When the cgroup cannot be read.
    pub fn processes(&self) -> io::Result<Vec<Pid>> {
        let mut all = Vec::new();
        let dir = self.layout.of("freezer").or_else(|_| self.layout.of("memory"))?;
        collect_processes(dir, &mut all)?;
        Ok(all)
    }

    /// Freezes or thaws everyone and waits until it is so.
    ///
    /// # Errors
    /// When the kernel refuses or the processes do not freeze in time.
    pub fn freeze(&self, is_frozen: bool) -> io::Result<()> {
        let dir = self.layout.of("freezer")?;
        let deadline = Instant::now() + FREEZE_PATIENCE;
        loop {
            self.ask_to_freeze(dir, is_frozen)?;
            if self.is_frozen(dir)? == is_frozen {
                return Ok(());
            }
            if Instant::now() >= deadline {
                self.ask_to_freeze(dir, false)?;
                return Err(io::Error::other("the processes did not freeze in time"));
            }
            std::thread::sleep(RETRY_EVERY);
        }
    }

    fn ask_to_freeze(&self, dir: &Path, is_frozen: bool) -> io::Result<()> {
        if self.layout.is_unified() {
            return write(&dir.join("cgroup.freeze"), if is_frozen { "1" } else { "0" });
        }
        write(&dir.join("freezer.state"), if is_frozen { "FROZEN" } else { "THAWED" })
    }

    fn is_frozen(&self, dir: &Path) -> io::Result<bool> {
        if self.layout.is_unified() {
            return Ok(read_key(&dir.join("cgroup.events"), "frozen")? == 1);
        }
        Ok(read(&dir.join("freezer.state"))?.trim() == "FROZEN")
    }

    /// Sends `signal` (its number) to everyone.
    ///
    /// # Errors
    /// When the cgroup cannot be read or a signal cannot be sent.
    pub fn signal_all(&self, signal: i32) -> io::Result<()> {
        for pid in self.processes()? {
            match sys::signal_child(pid, signal) {
                Err(error) if error.raw_os_error() != Some(Errno::ESRCH as i32) => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }

    /// Kills everyone, frozen or not. It returns before all are dead: see [`Cgroup::remove`].
    ///
    /// # Errors
    /// When the cgroup cannot be read or written.
    pub fn kill_all(&self) -> io::Result<()> {
        if !self.exists() {
            return Ok(());
        }
        if self.layout.is_unified() {
            // Reaches everyone at once, also those that are being forked (kernel 5.14).
            let file = self.layout.of("freezer")?.join("cgroup.kill");
            if file.exists() {
                return write(&file, "1");
            }
        }
        // Who is frozen cannot fork away from the list; the signal takes effect when thawed.
        let _ = self.freeze(true);
        let result = self.signal_all(Signal::SIGKILL as i32);
        let dir = self.layout.of("freezer")?;
        if dir.exists() {
            self.ask_to_freeze(dir, false)?;
        }
        result
    }
}

fn collect_processes(dir: &Path, all: &mut Vec<Pid>) -> io::Result<()> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    for line in read(&dir.join("cgroup.procs"))?.lines() {
        all.extend(line.parse().ok().filter(|pid| *pid > 0).map(Pid::from_raw));
    }
    for entry in entries {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            collect_processes(&entry.path(), all)?;
        }
    }
    Ok(())
}
