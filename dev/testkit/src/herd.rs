//! Processes full of simulated agents (`kogge-herd`): several when there are many, because a process may have so many open files only.

use std::fmt;
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde::Deserialize;
use thiserror::Error;

use crate::wait;

/// Between two words to whoever waits for the herd.
const PROGRESS: Duration = Duration::from_secs(5);
/// For a process to end by itself.
const LEAVING: Duration = Duration::from_secs(20);
/// Of one process: each agent has a connection to each of three servers.
const MOST_AGENTS: usize = 5_000;

/// Why there is no herd, or it does not do what is waited for.
#[derive(Debug, Error)]
pub enum HerdError {
    /// One machine has no room for them.
    #[error("{0} agents are too many for one machine")]
    TooMany(usize),
    /// A process of it cannot be started or looked at.
    #[error("the herd does not run")]
    Process(#[from] io::Error),
    /// A process of it has ended.
    #[error("the herd ended with {0}")]
    Ended(ExitStatus),
    /// It was waited for.
    #[error("waited {patience:?} in vain for {what}: {tally}")]
    Late {
        /// For what.
        what: String,
        /// How long.
        patience: Duration,
        /// How far it was then.
        tally: Tally,
    },
    /// What it has written down is no list of launches.
    #[error("the herd's launches cannot be read")]
    Launches,
}

/// What a herd is made of.
pub struct Plan<'a> {
    /// Starts the program, which hears the rest.
    pub command: &'a dyn Fn() -> Command,
    /// The servers' API.
    pub api: &'a str,
    /// For what is written down.
    pub directory: &'a Path,
    /// How many.
    pub agents: usize,
    /// Whether they take no tasks.
    pub are_closed: bool,
}

/// What the herd says of itself.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
pub struct Tally {
    /// Agents with a session.
    pub connected: usize,
    /// The newest term that one of them is registered in.
    pub term: u64,
    /// Agents that are registered in it.
    pub registered: usize,
    /// Connections that stand ready, to servers that do not lead.
    pub spares: usize,
    /// Instances that run.
    pub running: usize,
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
#[derive(Debug)]
pub struct Herd(Vec<Flock>);

/// One process.
#[derive(Debug)]
struct Flock {
    child: Child,
    last: Arc<Mutex<Tally>>,
    launches: PathBuf,
}

/// When an agent was told to launch an instance of a service.
#[derive(Debug)]
pub struct Launched {
    /// Its name.
    pub service: String,
    /// In microseconds since 1970.
    pub at_us: u64,
}

impl Herd {
    /// Starts them; they join one after the other.
    ///
    /// # Errors
    /// When they are too many, or cannot be started.
    pub fn start(plan: &Plan<'_>) -> Result<Self, HerdError> {
        let mut herd = Self(Vec::new());
        let mut left = plan.agents;
        for prefix in 'h'..='z' {
            let count = left.min(MOST_AGENTS);
            herd.0.push(Flock::start(plan, prefix, count)?);
            left -= count;
            if left == 0 {
                return Ok(herd);
            }
        }
        Err(HerdError::TooMany(plan.agents))
    }

    /// Its processes.
    #[must_use]
    pub fn pids(&self) -> Vec<u32> {
        self.0.iter().map(|flock| flock.child.id()).collect()
    }

    /// What it said last.
    #[must_use]
    pub fn tally(&self) -> Tally {
        let all = self.0.iter().map(|flock| *flock.last.lock().unwrap_or_else(PoisonError::into_inner));
        all.reduce(Tally::and).unwrap_or_default()
    }

    /// Waits until the tally is so; whoever waits as well is told now and then how far it is.
    ///
    /// # Errors
    /// When it is not so within `patience`, or the herd has ended.
    pub fn wait(
        &mut self,
        what: &str,
        patience: Duration,
        tell: impl Fn(&str),
        is_so: impl Fn(&Tally) -> bool,
    ) -> Result<Tally, HerdError> {
        let deadline = Instant::now() + patience;
        let mut told = Instant::now();
        loop {
            let tally = self.tally();
            if is_so(&tally) {
                return Ok(tally);
            }
            if told.elapsed() >= PROGRESS {
                tell(&format!("waiting for {what}: {tally}"));
                told = Instant::now();
            }
            for flock in &mut self.0 {
                if let Some(status) = flock.child.try_wait()? {
                    return Err(HerdError::Ended(status));
                }
            }
            if Instant::now() >= deadline {
                return Err(HerdError::Late { what: what.to_owned(), patience, tally });
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// All launches so far.
    ///
    /// # Errors
    /// When what was written down cannot be read.
    pub fn launches(&self) -> Result<Vec<Launched>, HerdError> {
        let mut all = Vec::new();
        for flock in &self.0 {
            let text = std::fs::read_to_string(&flock.launches)?;
            let launched: Option<Vec<Launched>> = text.lines().map(Launched::read).collect();
            all.extend(launched.ok_or(HerdError::Launches)?);
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
    fn start(plan: &Plan<'_>, prefix: char, count: usize) -> Result<Self, HerdError> {
        let launches = plan.directory.join(format!("launches-{prefix}"));
        let mut command = (plan.command)();
        command.args(["agents", "--api", plan.api, "--count", &count.to_string()]);
        command.args(["--prefix", &prefix.to_string(), "--launches"]).arg(&launches);
        if plan.are_closed {
            command.arg("--closed");
        }
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let lines = BufReader::new(child.stdout.take().expect("it was asked for"));
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
