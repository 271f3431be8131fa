//! What tasks wrote, as the agent reads it, for people.

use std::collections::BTreeMap;

use futures_util::{StreamExt, stream};
use kogge_agent::AgentHandle;
use kogge_control::ports::{Flow, LogSubject, LogWish};
use kogge_model::id::TaskId;
use kogge_model::log_record::LogStream;
use kogge_model::reason::Reason;
use kogge_model::view::{LogLineView, LogSource};
use kogge_telemetry::{LogEntry, SourcedEntry};

type Names = BTreeMap<String, LogSubject>;

/// Opens the logs of `tasks`. Those whose log is gone, or not there yet, are left out.
pub(super) async fn open(
    agent: &AgentHandle,
    tasks: Vec<LogSubject>,
    wish: LogWish,
) -> Result<Flow<LogLineView>, Reason> {
    let ids: Vec<TaskId> = tasks.iter().map(|subject| subject.task.clone()).collect();
    let names: Names = tasks.into_iter().map(|subject| (subject.task.to_string(), subject)).collect();
    let wish = kogge_agent::LogWish { since: wish.since, tail: wish.tail, follow: wish.follow };
    let batches = agent.logs(ids, wish).await?;
    let batches = stream::unfold((batches, names), |(mut batches, names)| async move {
        let batch = batches.recv().await?;
        let lines: Vec<LogLineView> = batch.into_iter().filter_map(|entry| view(entry, &names)).collect();
        Some((stream::iter(lines), (batches, names)))
    });
    Ok(Box::pin(batches.flatten()))
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
