//! The processes full of agents: several when there are many, because a process may have so many open files only.

use std::fmt;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use kogge_testkit::wait;
use serde::Deserialize;

use super::talk;

/// Between two words to whoever waits for the herd.
const PROGRESS: Duration = Duration::from_secs(5);
/// For a process to end by itself.
const LEAVING: Duration = Duration::from_secs(20);
/// Of one process: each agent has a connection to each of three servers.
const MOST_AGENTS: usize = 5_000;

/// What the herd says of itself.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
pub(crate) struct Tally {
    pub(crate) connected: usize,
    pub(crate) term: u64,
    pub(crate) registered: usize,
    /// Connections that stand ready, to servers that do not lead.
    pub(crate) spares: usize,
    pub(crate) running: usize,
}

impl fmt::Display for Tally {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { connected, term, registered, spares, running } = self;
        write!(
            out,
            "{connected} agents connected, {registered} registered in term {term}, {spares} more connections ready; \
             {running} instances run"
        )
    }
}

/// All of them; they end when this is dropped.
pub(crate) struct Herd(Vec<Flock>);

/// One process.
struct Flock {
    child: Child,
    last: Arc<Mutex<Tally>>,
    launches: PathBuf,
}

/// When an agent was told to launch an instance of a service.
pub(crate) struct Launched {
    pub(crate) service: String,
    pub(crate) at_us: u64,
}

impl Herd {
    /// Starts them; agents join at the server that answers at `api`.
    pub(crate) fn start(program: &Path, api: &str, directory: &Path, agents: usize) -> anyhow::Result<Self> {
        let mut herd = Self(Vec::new());
        let mut left = agents;
        for prefix in 'h'..='z' {
            let count = left.min(MOST_AGENTS);
            herd.0.push(Flock::start(program, api, directory, prefix, count)?);
            left -= count;
            if left == 0 {
                return Ok(herd);
            }
        }
        bail!("{agents} agents are too many for one machine")
    }

    pub(crate) fn pids(&self) -> Vec<u32> {
        self.0.iter().map(|flock| flock.child.id()).collect()
    }

    pub(crate) fn tally(&self) -> Tally {
        let all = self.0.iter().map(|flock| *flock.last.lock().unwrap_or_else(PoisonError::into_inner));
        all.reduce(Tally::and).unwrap_or_default()
    }

    /// Waits until the tally is so.
    pub(crate) fn wait(
        &mut self,
        what: &str,
        patience: Duration,
        is_so: impl Fn(&Tally) -> bool,
    ) -> anyhow::Result<Tally> {
        let deadline = Instant::now() + patience;
        let mut told = Instant::now();
        loop {
            let tally = self.tally();
            if is_so(&tally) {
                return Ok(tally);
            }
            if told.elapsed() >= PROGRESS {
                talk(&format!("bench: waiting for {what}: {tally}"));
                told = Instant::now();
            }
            for flock in &mut self.0 {
                if let Some(status) = flock.child.try_wait()? {
                    bail!("the herd ended with {status}");
                }
            }
            ensure!(Instant::now() < deadline, "waited {patience:?} in vain for {what}: {tally}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// All launches so far.
    pub(crate) fn launches(&self) -> anyhow::Result<Vec<Launched>> {
        let mut all = Vec::new();
        for flock in &self.0 {
            let text = std::fs::read_to_string(&flock.launches)?;
            let launched: Option<Vec<Launched>> = text.lines().map(Launched::read).collect();
            all.extend(launched.context("the herd's launches cannot be read")?);
        }
        Ok(all)
    }
}

impl Launched {
    fn read(line: &str) -> Option<Self> {
        let mut words = line.split(' ');
        let service = words.next()?.trim_start_matches('/').to_owned();
        Some(Self { service, at_us: words.nth(1)?.parse().ok()? })
    }
}

impl Tally {
    /// Together with the tally of others: of an older term nobody is registered any more.
    fn and(self, other: Self) -> Self {
        let term = self.term.max(other.term);
        let registered = |tally: Self| if tally.term == term { tally.registered } else { 0 };
        Self {
            connected: self.connected + other.connected,
            term,
            registered: registered(self) + registered(other),
            spares: self.spares + other.spares,
            running: self.running + other.running,
        }
    }
}

impl Flock {
    fn start(
        program: &Path,
        api: &str,
        directory: &Path,
        prefix: char,
        count: usize,
    ) -> anyhow::Result<Self> {
        let launches = directory.join(format!("launches-{prefix}"));
        let mut command = Command::new(program);
        command.args([
            "agents",
            "--api",
            api,
            "--count",
            &count.to_string(),
            "--prefix",
            &prefix.to_string(),
        ]);
        command.arg("--launches").arg(&launches).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().context("cannot start the herd")?;
        let lines = BufReader::new(child.stdout.take().context("the herd says nothing")?);
        let last = Arc::new(Mutex::new(Tally::default()));
        let heard = Arc::clone(&last);
        // Ends with the process.
        std::thread::spawn(move || {
            for line in lines.lines().map_while(Result::ok) {
                if let Ok(tally) = serde_json::from_str(&line) {
                    *heard.lock().unwrap_or_else(PoisonError::into_inner) = tally;
                }
            }
        });
        Ok(Self { child, last, launches })
    }
}

impl Drop for Flock {
    fn drop(&mut self) {
        // It ends when nobody holds its standard input.
        drop(self.child.stdin.take());
        if wait::within(LEAVING, || self.child.try_wait().ok().flatten()).is_none() {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_registered_with_an_older_leader_is_not_registered() {
        let flock = |term, registered| Tally { connected: 10, term, registered, spares: 20, running: 100 };
        let both = flock(2, 10).and(flock(3, 4));
        assert_eq!(both, Tally { connected: 20, term: 3, registered: 4, spares: 40, running: 200 });
        assert_eq!(flock(3, 6).and(flock(3, 4)).registered, 10);
    }
}
