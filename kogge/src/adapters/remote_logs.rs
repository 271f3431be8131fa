//! Lines of tasks from several agents, as one flow.

use std::collections::{BTreeMap, VecDeque};

use futures_util::stream::{self, SelectAll, StreamExt};
use kogge_control::ports::{Flow, LogSubject, LogWish};
use kogge_host::clock;
use kogge_link::{LogContent, LogEntry, RemoteLogs};
use kogge_model::id::TaskId;
use kogge_model::log_record::LogStream;
use kogge_model::reason::Reason;
use kogge_model::view::{LogLineView, LogSource};

/// The tasks of one agent, with the names people know them by.
pub(super) type Names = BTreeMap<TaskId, LogSubject>;

/// What one agent sends. When it goes away in the middle, the last line says so.
pub(super) fn lines(batches: RemoteLogs, names: Names) -> Flow<LogLineView> {
    let views = batches.map(move |batch| -> Vec<LogLineView> {
        match batch {
            Ok(entries) => entries.into_iter().filter_map(|entry| view(entry, &names)).collect(),
            Err(reason) => gap(&reason, &names).into_iter().collect(),
        }
    });
    Box::pin(views.flat_map(stream::iter))
}

/// The one line of an agent whose lines cannot be had.
pub(super) fn missing(reason: &Reason, names: &Names) -> Flow<LogLineView> {
    Box::pin(stream::iter(gap(reason, names)))
}

/// Merges by time what is there. What is followed comes as it is written: agents do not wait for each other.
pub(super) fn merge(sources: Vec<Flow<LogLineView>>, wish: LogWish) -> Flow<LogLineView> {
    if wish.follow {
        let mut all = SelectAll::new();
        all.extend(sources);
        return Box::pin(all);
    }
    let merged = by_time(sources);
    match wish.tail.and_then(|lines| usize::try_from(lines).ok()) {
        // Each agent has sent its own last lines; the last of all are among them.
        Some(lines) => Box::pin(stream::once(last(merged, lines)).flat_map(stream::iter)),
        None => merged,
    }
}

async fn last(mut lines: Flow<LogLineView>, count: usize) -> VecDeque<LogLineView> {
    let mut kept = VecDeque::new();
    while let Some(line) = lines.next().await {
        kept.push_back(line);
        if kept.len() > count {
            kept.pop_front();
        }
    }
    kept
}

/// A source with its next line.
struct Head {
    line: LogLineView,
    rest: Flow<LogLineView>,
}

fn by_time(sources: Vec<Flow<LogLineView>>) -> Flow<LogLineView> {
    let heads = async move {
        let heads = sources.into_iter().map(|mut rest| async {
            let line = rest.next().await?;
            Some(Head { line, rest })
        });
        let heads = futures_util::future::join_all(heads).await;
        stream::unfold(heads.into_iter().flatten().collect(), earliest)
    };
    Box::pin(stream::once(heads).flatten())
}

/// Takes the earliest line; of two at the same time the one of the earlier source.
async fn earliest(mut heads: Vec<Head>) -> Option<(LogLineView, Vec<Head>)> {
    let (at, _) = heads.iter().enumerate().min_by_key(|(_, head)| head.line.at.0)?;
    let line = match heads[at].rest.next().await {
        Some(next) => std::mem::replace(&mut heads[at].line, next),
        None => heads.remove(at).line,
    };
    Some((line, heads))
}

fn view(entry: LogEntry, names: &Names) -> Option<LogLineView> {
    let mut line = blank(names.get(&entry.task)?);
    line.at = entry.at.into();
    match entry.content {
        LogContent::Line { stream, is_partial, text } => {
            line.stream = match stream {
                LogStream::Stdout => LogSource::Stdout,
                LogStream::Stderr => LogSource::Stderr,
            };
            line.text = text;
            line.is_partial = is_partial;
        }
        LogContent::Gap { lost } => {
            line.text = format!("{} lines ({} bytes) are missing here", lost.records, lost.bytes);
            line.lost_records = lost.records;
            line.lost_bytes = lost.bytes;
        }
    }
    Some(line)
}

/// A line that says why there are no others; in the name of the first task, since it must have one.
fn gap(reason: &Reason, names: &Names) -> Option<LogLineView> {
    let mut line = blank(names.values().next()?);
    line.at = clock::now().into();
    line.text = format!("lines are missing here: {reason}");
    Some(line)
}

fn blank(subject: &LogSubject) -> LogLineView {
    LogLineView {
        at: kogge_model::time::Timestamp::ZERO.into(),
        service: subject.service.clone(),
        instance: subject.instance.clone(),
        task: subject.task.to_string(),
        stream: LogSource::Gap,
        text: String::new(),
        is_partial: false,
        lost_records: 0,
        lost_bytes: 0,
    }
}

#[cfg(test)]
mod tests {
    use kogge_model::id::AgentId;
    use kogge_model::time::Timestamp;

    use super::*;

    fn names(task: &str) -> Names {
        let subject = LogSubject {
            task: TaskId::new(task),
            agent: AgentId::new("a1"),
            service: "shop".to_owned(),
            instance: "shop.1".to_owned(),
        };
        BTreeMap::from([(subject.task.clone(), subject)])
    }

    /// An agent whose one task wrote lines at these seconds.
    fn agent(task: &str, seconds: &[u64]) -> Flow<LogLineView> {
        let entry = |at: &u64| LogEntry {
            task: TaskId::new(task),
            at: Timestamp::from_secs(*at),
            content: LogContent::Line {
                stream: LogStream::Stdout,
                is_partial: false,
                text: format!("{task}{at}"),
            },
        };
        let batches: Vec<_> = seconds.chunks(2).map(|chunk| Ok(chunk.iter().map(entry).collect())).collect();
        lines(stream::iter(batches).boxed(), names(task))
    }

    async fn texts(flow: Flow<LogLineView>) -> Vec<String> {
        flow.map(|line| line.text).collect().await
    }

    #[tokio::test]
    async fn lines_of_all_agents_come_in_order_of_time() {
        let sources = vec![agent("a", &[1, 4, 5, 9]), agent("b", &[]), agent("c", &[2, 3, 5])];
        let merged = merge(sources, LogWish::default());
        assert_eq!(texts(merged).await, ["a1", "c2", "c3", "a4", "a5", "c5", "a9"]);
    }

    #[tokio::test]
    async fn the_last_lines_are_the_last_of_all_agents_together() {
        let sources = vec![agent("a", &[1, 4, 9]), agent("c", &[2, 3, 5])];
        let merged = merge(sources, LogWish { tail: Some(3), ..LogWish::default() });
        assert_eq!(texts(merged).await, ["a4", "c5", "a9"]);
    }

    #[tokio::test]
    async fn an_agent_that_is_away_has_one_line_that_says_so() {
        let reason = Reason::new("agent a2 is not connected");
        let cut: RemoteLogs = stream::iter([Ok(vec![]), Err(reason.clone())]).boxed();
        let sources = vec![agent("a", &[1]), missing(&reason, &names("b")), lines(cut, names("c"))];
        let all: Vec<LogLineView> = merge(sources, LogWish::default()).collect().await;
        assert_eq!(all.len(), 3);
        assert_eq!(all[0].text, "a1");
        for line in &all[1..] {
            assert_eq!(line.text, "lines are missing here: agent a2 is not connected");
            assert_eq!(line.stream, LogSource::Gap);
        }
    }

    #[tokio::test]
    async fn following_gives_what_comes_from_whomever_it_comes() {
        let silent: Flow<LogLineView> = Box::pin(stream::pending());
        let followed =
            merge(vec![silent, agent("a", &[1, 2])], LogWish { follow: true, ..LogWish::default() });
        assert_eq!(texts(Box::pin(followed.take(2))).await, ["a1", "a2"]);
    }
}
