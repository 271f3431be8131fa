//! Logs, programs and figures of tasks.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::future::BoxFuture;
use kogge_host::tasks::{OnPanic, TaskGroup};
use kogge_link::{DialerConfig, ExecLine, LogBatches, LogContent, LogEntry, LogWish, RemoteLogs, TaskDoor};
use kogge_model::id::{AgentId, TaskId};
use kogge_model::log_record::LogStream;
use kogge_model::reason::Reason;
use kogge_model::task::Exit;
use kogge_model::time::Timestamp;
use kogge_model::view::exec::{ExecInput, ExecOutput, ExecRequest};
use tokio::sync::mpsc;

use super::bed::{Agent, Cluster, Server, order, soon, timing};

/// An agent whose task `endless` never stops writing, whose others write what is asked for, and whose programs echo.
struct Echo {
    group: TaskGroup,
    lines: Arc<AtomicUsize>,
    programs: Arc<AtomicUsize>,
}

fn line(task: &TaskId, number: usize) -> LogEntry {
    LogEntry {
        task: task.clone(),
        at: Timestamp::from_secs(u64::try_from(number).unwrap()),
        content: LogContent::Line {
            stream: LogStream::Stdout,
            is_partial: false,
            text: format!("{number} {}", "x".repeat(1_000)),
        },
    }
}

impl TaskDoor for Echo {
    fn logs(&self, tasks: Vec<TaskId>, wish: LogWish) -> BoxFuture<'_, Result<LogBatches, Reason>> {
        Box::pin(async move {
            let (sender, batches) = mpsc::channel(1);
            let task = tasks.into_iter().next().ok_or("no task")?;
            let count = match task.as_str() {
                "endless" => usize::MAX,
                _ => usize::try_from(wish.tail.unwrap_or(1)).unwrap(),
            };
            let lines = Arc::clone(&self.lines);
            self.group.spawn("writer", OnPanic::Log, async move {
                for number in 0..count {
                    if sender.send(vec![line(&task, number)]).await.is_err() {
                        break;
                    }
                    lines.fetch_add(1, Ordering::Relaxed);
                }
            });
            Ok(batches)
        })
    }

    fn exec(&self, task: TaskId, request: ExecRequest) -> BoxFuture<'_, Result<ExecLine, Reason>> {
        Box::pin(async move {
            if task.as_str() != "t1" {
                return Err(Reason::new(format!("task {task} is not running")).with_hint("see `kogge ps`"));
            }
            let (input, mut typed) = mpsc::channel(1);
            let (said, output) = mpsc::channel(1);
            let programs = Arc::clone(&self.programs);
            programs.fetch_add(1, Ordering::SeqCst);
            self.group.spawn("program", OnPanic::Log, async move {
                let echo = async {
                    let greeting = request.argv.join(" ").into_bytes();
                    let _ = said.send(ExecOutput::Stderr(greeting)).await;
                    while let Some(ExecInput::Stdin(bytes)) = typed.recv().await {
                        let _ = said.send(ExecOutput::Stdout(bytes)).await;
                    }
                    let _ = said.send(ExecOutput::Exit(Exit::Code { code: 3 })).await;
                };
                tokio::select! { () = echo => {}, () = said.closed() => {} }
                programs.fetch_sub(1, Ordering::SeqCst);
            });
            Ok(ExecLine { input, output })
        })
    }

    fn stats(&self, task: TaskId) -> BoxFuture<'_, Result<serde_json::Value, Reason>> {
        Box::pin(async move { Ok(serde_json::json!({ "task": task.as_str(), "mem_bytes": 42 })) })
    }
}

struct Bed {
    server: Server,
    agent: Agent,
    id: AgentId,
    lines: Arc<AtomicUsize>,
    programs: Arc<AtomicUsize>,
}

async fn bed() -> Bed {
    let north = Cluster::new("north");
    let server = north.server();
    let echo = Echo { group: TaskGroup::new("tasks"), lines: Arc::default(), programs: Arc::default() };
    let (lines, programs) = (Arc::clone(&echo.lines), Arc::clone(&echo.programs));
    let config = DialerConfig {
        timing: timing(),
        ..DialerConfig::new(north.member("a1"), vec![server.address.clone()], "1")
    };
    let mut agent = Agent::start_among(config, Arc::new(echo));
    agent.connected().await;
    Bed { server, agent, id: AgentId::new("a1"), lines, programs }
}

impl Bed {
    async fn logs(&self, task: &str, tail: Option<u32>) -> Result<RemoteLogs, Reason> {
        let wish = LogWish { tail, ..LogWish::default() };
        self.server.handle.logs(&self.id, vec![TaskId::new(task)], wish).await
    }

    async fn exec(&self, task: &str) -> Result<ExecLine, Reason> {
        let request = ExecRequest { argv: vec!["cat".into(), "-".into()], ..ExecRequest::default() };
        self.server.handle.exec(&self.id, TaskId::new(task), request).await
    }
}

async fn next(logs: &mut RemoteLogs) -> Option<Result<Vec<LogEntry>, Reason>> {
    soon("more lines", logs.next()).await
}

async fn said(line: &mut ExecLine) -> Option<ExecOutput> {
    soon("more output", line.output.recv()).await
}

#[tokio::test]
async fn logs_come_in_order_and_end_where_they_end() {
    let bed = bed().await;
    let mut logs = bed.logs("t1", Some(500)).await.unwrap();
    let mut got = Vec::new();
    while let Some(batch) = next(&mut logs).await {
        got.extend(batch.unwrap());
    }
    let expected: Vec<LogEntry> = (0..500).map(|number| line(&TaskId::new("t1"), number)).collect();
    assert!(got == expected, "{} lines", got.len());
}

#[tokio::test]
async fn a_program_is_typed_into_heard_and_its_end_is_told() {
    let bed = bed().await;
    let mut line = bed.exec("t1").await.unwrap();
    assert_eq!(said(&mut line).await, Some(ExecOutput::Stderr(b"cat -".to_vec())));
    let long = vec![b'x'; 200_000];
    line.input.send(ExecInput::Stdin(long.clone())).await.unwrap();
    let mut echoed = Vec::new();
    while echoed.len() < long.len() {
        let Some(ExecOutput::Stdout(bytes)) = said(&mut line).await else { panic!("output") };
        echoed.extend(bytes);
    }
    assert_eq!(echoed, long);
    line.input.send(ExecInput::CloseStdin).await.unwrap();
    assert_eq!(said(&mut line).await, Some(ExecOutput::Exit(Exit::Code { code: 3 })));
    assert_eq!(said(&mut line).await, None);
}

#[tokio::test]
async fn a_program_nobody_listens_to_any_more_is_killed() {
    let bed = bed().await;
    let mut line = bed.exec("t1").await.unwrap();
    said(&mut line).await;
    assert_eq!(bed.programs.load(Ordering::SeqCst), 1);
    drop(line);
    let ended = async {
        while bed.programs.load(Ordering::SeqCst) > 0 {
            tokio::task::yield_now().await;
        }
    };
    soon("the program's end", ended).await;
}

#[tokio::test]
async fn a_program_whose_agent_goes_away_is_reported_lost() {
    let bed = bed().await;
    let mut line = bed.exec("t1").await.unwrap();
    said(&mut line).await;
    bed.agent.link.handle.shutdown(Duration::from_secs(5)).await;
    let Some(ExecOutput::Failed(problem)) = said(&mut line).await else { panic!("a problem") };
    assert_eq!(problem.detail, "agent a1 is not connected any more");
    assert_eq!(bed.exec("t1").await.unwrap_err().text, "agent a1 is not connected");
}

#[tokio::test]
async fn what_the_agent_refuses_comes_back_with_its_words() {
    let bed = bed().await;
    let refused = bed.exec("t2").await.unwrap_err();
    assert_eq!(refused, Reason::new("task t2 is not running").with_hint("see `kogge ps`"));
    let stats = bed.server.handle.stats(&bed.id, TaskId::new("t9")).await.unwrap();
    assert_eq!(stats, serde_json::json!({ "task": "t9", "mem_bytes": 42 }));
    let unknown = bed.server.handle.stats(&AgentId::new("a2"), TaskId::new("t")).await.unwrap_err();
    assert_eq!(unknown.text, "agent a2 is not connected");
}

#[tokio::test]
async fn a_slow_reader_of_logs_holds_up_its_own_log_and_nothing_else() {
    let mut bed = bed().await;
    let mut slow = bed.logs("endless", None).await.unwrap();
    next(&mut slow).await.unwrap().unwrap();
    // The writer comes to a stop when all buffers on the way are full.
    let stopped = async {
        let mut before = usize::MAX;
        loop {
            let now = bed.lines.load(Ordering::Relaxed);
            if now == before {
                return now;
            }
            before = now;
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
    };
    let written = soon("a stop", stopped).await;
    assert!(written < 20_000, "{written} lines of 1 KB are on their way to somebody who does not read");
    for number in 0..1_000 {
        bed.server.handle.send(&bed.id, order(number));
        assert_eq!(bed.agent.order().await, order(number));
    }
    let mut other = bed.logs("t1", Some(100)).await.unwrap();
    assert!(next(&mut other).await.unwrap().is_ok());
    // It goes on where it stood.
    for _ in 0..200 {
        next(&mut slow).await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn too_many_open_logs_are_refused_and_closing_one_makes_room() {
    let bed = bed().await;
    let mut open = Vec::new();
    let refused = loop {
        match bed.logs("endless", None).await {
            Ok(logs) => open.push(logs),
            Err(reason) => break reason,
        }
    };
    assert_eq!(open.len(), 64);
    assert!(refused.text.contains("too many open logs and programs"), "{refused}");
    open.pop();
    let opened = async {
        while bed.logs("t1", None).await.is_err() {
            tokio::task::yield_now().await;
        }
    };
    soon("room", opened).await;
}
