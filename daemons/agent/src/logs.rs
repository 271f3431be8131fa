//! Captured lines of tasks, merged by time, from a point on.

use std::collections::VecDeque;

use kogge_host::tasks::OnPanic;
use kogge_model::id::TaskId;
use kogge_model::reason::Reason;
use kogge_model::time::Timestamp;
use kogge_telemetry::{LogFollower, LogStart, SourcedEntry};
use tokio::sync::mpsc;

use crate::tasks::Machine;

/// Batches on their way; when they are full, reading waits. The task that writes never does.
const BATCHES: usize = 4;

/// The most lines that can be asked for as "the last".
const MAX_TAIL: u32 = 100_000;

/// Which lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LogWish {
    /// Only lines from then on.
    pub since: Option<Timestamp>,
    /// Only the last so many of what is there, of all tasks together.
    pub tail: Option<u32>,
    /// Whether to go on with lines as they are written.
    pub follow: bool,
}

/// Batches of entries in order of time, each with its task's id as source. Ends when there are no more, or never
/// when following. Dropping it ends the reading.
pub type LogBatches = mpsc::Receiver<Vec<SourcedEntry>>;

impl Machine {
    /// Reads the logs of `tasks`; those that have written nothing yet because they never started are left out.
    pub(crate) fn logs(&self, tasks: &[TaskId], wish: LogWish) -> Result<LogBatches, Reason> {
        let failed = |error: std::io::Error| Reason::new(format!("cannot read logs: {error}"));
        let start = match (wish.tail, wish.since) {
            (Some(lines), _) => LogStart::Last(u64::from(lines.min(MAX_TAIL))),
            (None, Some(since)) => LogStart::Since(since),
            (None, None) => LogStart::Oldest,
        };
        let mut follower = LogFollower::new().map_err(failed)?;
        for task in tasks {
            let dir = self.of(task).log;
            if dir.is_dir() {
                follower.add(task.as_str(), &dir, start).map_err(failed)?;
            }
        }
        let (sender, batches) = mpsc::channel(BATCHES);
        let token = self.work.token();
        self.work.spawn("logs", OnPanic::Log, async move {
            tokio::select! {
                () = pump(follower, wish, &sender) => {}
                () = sender.closed() => {}
                () = token.cancelled() => {}
            }
        });
        Ok(batches)
    }
}

/// Sends what is there, then, when following, what comes.
async fn pump(mut follower: LogFollower, wish: LogWish, sender: &mpsc::Sender<Vec<SourcedEntry>>) {
    let since = wish.since.unwrap_or(Timestamp::ZERO);
    let mut last = VecDeque::new();
    loop {
        let mut batch = follower.read().await;
        if batch.is_empty() {
            break;
        }
        batch.retain(|line| line.entry.at() >= since);
        match wish.tail {
            Some(lines) => keep_last(&mut last, batch, lines),
            None => {
                if sender.send(batch).await.is_err() {
                    return;
                }
            }
        }
    }
    if !last.is_empty() && sender.send(last.into()).await.is_err() {
        return;
    }
    if !wish.follow {
        return;
    }
    loop {
        match follower.next().await {
            Ok(batch) => {
                if sender.send(batch).await.is_err() {
                    return;
                }
            }
            Err(error) => return tracing::warn!(%error, "logs cannot be followed any more"),
        }
    }
}

fn keep_last(last: &mut VecDeque<SourcedEntry>, batch: Vec<SourcedEntry>, lines: u32) {
    let lines = usize::try_from(lines.min(MAX_TAIL)).unwrap_or(usize::MAX);
    last.extend(batch);
    last.drain(..last.len().saturating_sub(lines));
}
