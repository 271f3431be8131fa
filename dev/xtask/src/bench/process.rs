//! Processes of others: what they use, and how those we started are ended.

use std::fs;
use std::io::Read;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, SysconfVar, sysconf};

/// How long anything may take on a slow, busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A server of ours, ended when dropped.
#[derive(Debug)]
pub(crate) struct Server(Child);

impl Server {
    /// Starts it in the background; its talk goes to a file.
    pub(crate) fn start(command: &mut Command, talk: &Path) -> anyhow::Result<Self> {
        let file = fs::File::create(talk).with_context(|| format!("cannot write {}", talk.display()))?;
        let child = command.stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file).spawn();
        let program = command.get_program().to_string_lossy().into_owned();
        Ok(Self(child.with_context(|| format!("cannot start {program}"))?))
    }

    pub(crate) fn pid(&self) -> u32 {
        self.0.id()
    }

    /// It and its children: a master and its workers.
    pub(crate) fn family(&self) -> Vec<u32> {
        let own = self.pid();
        std::iter::once(own).chain(all().into_iter().filter(|pid| parent(*pid) == Some(own))).collect()
    }

    pub(crate) fn signal(&self, signal: Signal) -> anyhow::Result<()> {
        kill(as_pid(self.pid()), signal).context("cannot signal a server of the bench")
    }

    /// Fails when it has ended already, with the end of what it said.
    pub(crate) fn must_live(&mut self, talk: &Path) -> anyhow::Result<()> {
        if let Some(status) = self.0.try_wait()? {
            let said = fs::read_to_string(talk).unwrap_or_default();
            let last: Vec<&str> = said.lines().rev().take(3).collect();
            bail!("it ended with {status}: {}", last.into_iter().rev().collect::<Vec<_>>().join(" / "));
        }
        Ok(())
    }
}

impl Drop for Server {
    /// Asks it to end; insists when it does not.
    fn drop(&mut self) {
        let _ = self.signal(Signal::SIGTERM);
        let deadline = Instant::now() + Duration::from_secs(15);
        while let Ok(None) = self.0.try_wait() {
            if Instant::now() > deadline {
                let _ = self.0.kill();
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

/// Runs a program to its end; gives its standard output.
pub(crate) fn output(command: &mut Command) -> anyhow::Result<String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.stdin(Stdio::null()).output().with_context(|| format!("cannot run {program}"))?;
    if !output.status.success() {
        bail!("{program} failed: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Looks until `look` finds something.
pub(crate) fn await_some<T>(
    what: &str,
    mut look: impl FnMut() -> anyhow::Result<Option<T>>,
) -> anyhow::Result<T> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look()? {
            return Ok(found);
        }
        if Instant::now() > deadline {
            bail!("waited {PATIENCE:?} in vain for {what}");
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// The file's whole text; empty when it is not there.
pub(crate) fn text(path: &str) -> String {
    let mut text = String::new();
    let _ = fs::File::open(path).and_then(|mut file| file.read_to_string(&mut text));
    text
}

/// All process ids.
pub(crate) fn all() -> Vec<u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

/// The shims of the cloud with that data directory: `kogge shim DIR`, with a directory below it.
pub(crate) fn shims(data: &Path) -> Vec<u32> {
    let is_shim = |pid: &u32| {
        let line = text(&format!("/proc/{pid}/cmdline"));
        let mut words = line.split('\0').skip(1);
        words.next() == Some("shim") && words.next().is_some_and(|dir| Path::new(dir).starts_with(data))
    };
    let found: Vec<u32> = all().into_iter().filter(is_shim).collect();
    // A shim starts helpers, for a moment, that are copies of it.
    let is_helper = |pid: &u32| parent(*pid).is_some_and(|parent| found.contains(&parent));
    found.iter().copied().filter(|pid| !is_helper(pid)).collect()
}

/// The parent, and processor time in ticks, out of `/proc/PID/stat` (proc(5)).
fn stat(pid: u32) -> Option<(u32, u64)> {
    let text = text(&format!("/proc/{pid}/stat"));
    // The name in brackets may hold anything.
    let fields: Vec<&str> = text.rsplit_once(") ")?.1.split(' ').collect();
    let number = |at: usize| fields.get(at)?.parse::<u64>().ok();
    Some((u32::try_from(number(1)?).ok()?, number(11)? + number(12)?))
}

fn parent(pid: u32) -> Option<u32> {
    Some(stat(pid)?.0)
}

/// Processor time of these processes so far, in seconds; resolution 10 ms.
pub(crate) fn cpu_seconds(pids: &[u32]) -> f64 {
    let ticks: u64 = pids.iter().filter_map(|pid| Some(stat(*pid)?.1)).sum();
    let hertz = sysconf(SysconfVar::CLK_TCK).ok().flatten().unwrap_or(100);
    ticks as f64 / hertz as f64
}

/// Memory of processes, in bytes.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Footprint {
    /// Proportional set size.
    pub(crate) pss: f64,
    /// Pages that nobody shares and that the kernel cannot drop: program text can be read again from its file.
    pub(crate) private: f64,
}

/// What these processes hold together, from `smaps_rollup` (proc(5)).
pub(crate) fn footprint(pids: &[u32]) -> Footprint {
    let mut sum = Footprint::default();
    for pid in pids {
        let text = text(&format!("/proc/{pid}/smaps_rollup"));
        let kib = |key: &str| -> f64 {
            let line = text.lines().find_map(|line| line.strip_prefix(key));
            line.and_then(|rest| rest.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(0.0)
        };
        sum.pss += kib("Pss:") * 1024.0;
        sum.private += kib("Private_Dirty:") * 1024.0;
    }
    sum
}

pub(crate) fn as_pid(pid: u32) -> Pid {
    Pid::from_raw(i32::try_from(pid).expect("process ids fit"))
}
