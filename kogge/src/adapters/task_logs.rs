//! What tasks wrote: read from their directories, merged by time, followed as they grow.

use std::collections::BTreeMap;

use futures_util::stream;
use kogge_agent::AgentHandle;
use kogge_control::ports::{Flow, LogSubject, LogWish};
use kogge_model::log_record::LogStream;
use kogge_model::reason::Reason;
use kogge_model::view::{LogLineView, LogSource};
use kogge_telemetry::{LogEntry, LogFollower, LogStart, MergedLogs, SourcedEntry};

/// Lines of a log that is only read, taken at once.
const BATCH: usize = 1_024;

/// Opens the logs of `tasks`. Those whose log is gone, or not there yet, are left out.
pub(super) async fn open(
    agent: &AgentHandle,
    tasks: Vec<LogSubject>,
    wish: LogWish,
) -> Result<Flow<LogLineView>, Reason> {
    let names: BTreeMap<String, LogSubject> =
        tasks.into_iter().map(|subject| (subject.task.to_string(), subject)).collect();
    let mut logs = Vec::new();
    for subject in names.values() {
        if let Some(directory) = agent.log_directory(&subject.task).await {
            logs.push((subject.task.to_string(), directory));
        }
    }
    let start = match (wish.tail, wish.since) {
        (_, Some(since)) => LogStart::Since(since),
        (Some(lines), None) => LogStart::Last(u64::from(lines)),
        (None, None) => LogStart::Oldest,
    };
    let failed = |error: std::io::Error| Reason::new(format!("cannot read the logs: {error}"));
    if wish.follow {
        let mut follower = LogFollower::new().map_err(failed)?;
        for (task, directory) in &logs {
            follower.add(task, directory, start).map_err(failed)?;
        }
        return Ok(followed(follower, names));
    }
    let read = tokio::task::spawn_blocking(move || -> std::io::Result<MergedLogs> {
        let mut merged = MergedLogs::new();
        for (task, directory) in &logs {
            merged.add(task.as_str(), directory, start)?;
        }
        Ok(merged)
    });
    let merged = read.await.map_err(|_| Reason::new("reading the logs failed"))?.map_err(failed)?;
    Ok(read_once(merged, names, wish.tail))
}

type Names = BTreeMap<String, LogSubject>;

/// Everything that is there now; of `tail`, the last lines of all logs together.
fn read_once(mut merged: MergedLogs, names: Names, tail: Option<u32>) -> Flow<LogLineView> {
    let batches =
        stream::unfold((Some(merged_batch(&mut merged)), merged), |(first, mut merged)| async move {
            let batch = match first {
                Some(batch) => batch,
                None => {
                    let read = tokio::task::spawn_blocking(move || {
                        let batch = merged_batch(&mut merged);
                        (batch, merged)
                    });
                    let (batch, back) = read.await.ok()?;
                    merged = back;
                    batch
                }
            };
            (!batch.is_empty()).then_some((batch, (None, merged)))
        });
    let lines = futures_util::StreamExt::flat_map(batches, move |batch| {
        let lines: Vec<LogLineView> = batch.into_iter().filter_map(|entry| view(entry, &names)).collect();
        stream::iter(lines)
    });
    match tail {
        None => Box::pin(lines),
        Some(tail) => Box::pin(last(lines, usize::try_from(tail).unwrap_or(usize::MAX))),
    }
}

fn merged_batch(merged: &mut MergedLogs) -> Vec<SourcedEntry> {
    merged.read(BATCH)
}

/// The last `count` lines; each log was already cut to so many.
fn last(
    lines: impl stream::Stream<Item = LogLineView> + Send + 'static,
    count: usize,
) -> impl stream::Stream<Item = LogLineView> + Send {
    let kept = async move {
        let mut lines = std::pin::pin!(lines);
        let mut kept = std::collections::VecDeque::new();
        while let Some(line) = futures_util::StreamExt::next(&mut lines).await {
            kept.push_back(line);
            if kept.len() > count {
                kept.pop_front();
            }
        }
        stream::iter(kept)
    };
    futures_util::StreamExt::flatten(stream::once(kept))
}

fn followed(follower: LogFollower, names: Names) -> Flow<LogLineView> {
    let batches = stream::unfold((follower, names), |(mut follower, names)| async move {
        let batch = match follower.next().await {
            Ok(batch) => batch,
            Err(error) => {
                tracing::warn!(%error, "logs cannot be followed any more");
                return None;
            }
        };
        let lines: Vec<LogLineView> = batch.into_iter().filter_map(|entry| view(entry, &names)).collect();
        Some((stream::iter(lines), (follower, names)))
    });
    Box::pin(futures_util::StreamExt::flatten(batches))
}

fn view(sourced: SourcedEntry, names: &Names) -> Option<LogLineView> {
    let subject = names.get(&sourced.source)?;
    let mut line = LogLineView {
        at: sourced.entry.at().into(),
        service: subject.service.clone(),
        instance: subject.instance.clone(),
        task: sourced.source,
        stream: LogSource::Gap,
        text: String::new(),
        is_partial: false,
        lost_records: 0,
        lost_bytes: 0,
    };
    match sourced.entry {
        LogEntry::Line { stream, is_partial, text, .. } => {
            line.stream = match stream {
                LogStream::Stdout => LogSource::Stdout,
                LogStream::Stderr => LogSource::Stderr,
            };
            line.text = text;
            line.is_partial = is_partial;
        }
        LogEntry::Gap { lost, .. } => {
            line.text = format!("{} lines ({} bytes) are missing here", lost.records, lost.bytes);
            line.lost_records = lost.records;
            line.lost_bytes = lost.bytes;
        }
    }
    Some(line)
}
