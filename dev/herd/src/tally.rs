//! How the herd stands, told line by line.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use kogge_host::clock;
use kogge_model::id::Term;
use kogge_model::name::InstanceId;
use kogge_model::time::Timestamp;
use serde::Serialize;

/// One agent, as it was counted last.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Standing {
    pub(crate) is_connected: bool,
    /// The term of the leader that took its registration last.
    pub(crate) registered: Option<Term>,
    pub(crate) running: usize,
    /// Connections that stand ready, to servers that do not lead.
    pub(crate) spares: usize,
}

/// All agents together.
#[derive(Debug, Default)]
pub(crate) struct Tally(Mutex<Sum>);

#[derive(Debug, Default)]
struct Sum {
    connected: usize,
    spares: usize,
    running: usize,
    launched: usize,
    by_term: BTreeMap<Term, usize>,
    launches: Vec<(InstanceId, Timestamp)>,
}

/// A line of the tally.
#[derive(Debug, Serialize)]
struct Line {
    at_us: u64,
    connected: usize,
    /// Of the newest term that any agent has heard of.
    term: u64,
    /// Agents whose registration the leader of that term has taken.
    registered: usize,
    /// Connections that stand ready, of all agents.
    spares: usize,
    running: usize,
    launched: usize,
}

impl Tally {
    /// Counts what `change` does to an agent.
    pub(crate) fn changes(&self, standing: &mut Standing, change: impl FnOnce(&mut Standing)) {
        let before = *standing;
        change(standing);
        if before == *standing {
            return;
        }
        let mut sum = self.sum();
        sum.connected = sum.connected - usize::from(before.is_connected) + usize::from(standing.is_connected);
        sum.running = sum.running - before.running + standing.running;
        sum.spares = sum.spares - before.spares + standing.spares;
        if before.registered != standing.registered {
            if let Some(count) = before.registered.and_then(|term| sum.by_term.get_mut(&term)) {
                *count -= 1;
            }
            if let Some(term) = standing.registered {
                *sum.by_term.entry(term).or_default() += 1;
            }
        }
    }

    /// An order to start it has come.
    pub(crate) fn launched(&self, instance: &InstanceId, at: Timestamp) {
        let mut sum = self.sum();
        sum.launched += 1;
        sum.launches.push((instance.clone(), at));
    }

    fn line(&self) -> (Line, Vec<(InstanceId, Timestamp)>) {
        let mut sum = self.sum();
        let (term, registered) =
            sum.by_term.last_key_value().map_or((0, 0), |(term, count)| (term.0, *count));
        let line = Line {
            at_us: clock::now().as_micros(),
            connected: sum.connected,
            term,
            registered,
            spares: sum.spares,
            running: sum.running,
            launched: sum.launched,
        };
        (line, std::mem::take(&mut sum.launches))
    }

    fn sum(&self) -> MutexGuard<'_, Sum> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Tells for ever: the tally on standard output, launches in `file`.
pub(crate) async fn tell(tally: Arc<Tally>, mut file: File, every: Duration) {
    loop {
        tokio::time::sleep(every).await;
        let (line, launches) = tally.line();
        if let Err(error) = write(&line, &launches, &mut file) {
            // Nobody listens: whoever started this program is gone.
            panic!("the tally cannot be told: {error}");
        }
    }
}

fn write(line: &Line, launches: &[(InstanceId, Timestamp)], file: &mut File) -> std::io::Result<()> {
    let mut text = String::new();
    for (instance, at) in launches {
        text.push_str(&format!("{} {} {}\n", instance.service, instance.number, at.as_micros()));
    }
    file.write_all(text.as_bytes())?;
    let mut out = std::io::stdout().lock();
    serde_json::to_writer(&mut out, line)?;
    out.write_all(b"\n")?;
    out.flush()
}
