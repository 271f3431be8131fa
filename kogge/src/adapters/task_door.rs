//! The tasks of the agent in this process, for servers that reach into them over the link.

use futures_util::future::BoxFuture;
use kogge_agent::AgentHandle;
use kogge_host::tasks::{OnPanic, TaskGroup};
use kogge_link::{ExecLine, LogBatches, LogContent, LogEntry, LogWish, TaskDoor};
use kogge_model::id::TaskId;
use kogge_model::reason::Reason;
use kogge_model::view::exec::ExecRequest;
use kogge_telemetry::SourcedEntry;
use tokio::sync::{OnceCell, mpsc};

/// The agent; its link is started before it.
pub(crate) struct AgentDoor {
    agent: OnceCell<AgentHandle>,
    group: TaskGroup,
}

impl AgentDoor {
    /// A door that opens once the agent is bound; what it starts is in `group`.
    pub(crate) fn new(group: TaskGroup) -> Self {
        Self { agent: OnceCell::new(), group }
    }

    /// The agent is there.
    pub(crate) fn bind(&self, agent: AgentHandle) {
        // It is bound once, at the start.
        let _ = self.agent.set(agent);
    }

    fn agent(&self) -> Result<&AgentHandle, Reason> {
        self.agent.get().ok_or_else(|| Reason::new("the agent is not up yet"))
    }
}

impl TaskDoor for AgentDoor {
    fn logs(&self, tasks: Vec<TaskId>, wish: LogWish) -> BoxFuture<'_, Result<LogBatches, Reason>> {
        Box::pin(async move {
            let wish = kogge_agent::LogWish { since: wish.since, tail: wish.tail, follow: wish.follow };
            let mut captured = self.agent()?.logs(tasks, wish).await?;
            let (sender, batches) = mpsc::channel(1);
            // Ends when the server reads no more, or the agent ends.
            self.group.spawn("logs for a server", OnPanic::Log, async move {
                loop {
                    let batch = tokio::select! {
                        batch = captured.recv() => batch,
                        () = sender.closed() => return,
                    };
                    let Some(batch) = batch else { return };
                    if sender.send(batch.into_iter().map(entry).collect()).await.is_err() {
                        return;
                    }
                }
            });
            Ok(batches)
        })
    }

    fn exec(&self, task: TaskId, request: ExecRequest) -> BoxFuture<'_, Result<ExecLine, Reason>> {
        Box::pin(async move {
            let session = self.agent()?.exec(&task, request).await?;
            Ok(ExecLine { input: session.input, output: session.output })
        })
    }

    fn stats(&self, task: TaskId) -> BoxFuture<'_, Result<serde_json::Value, Reason>> {
        Box::pin(async move {
            let stats = self.agent()?.stats(&task).await?;
            Ok(serde_json::to_value(stats).expect("stats are plain data with text keys"))
        })
    }
}

fn entry(sourced: SourcedEntry) -> LogEntry {
    let at = sourced.entry.at();
    let content = match sourced.entry {
        kogge_telemetry::LogEntry::Line { stream, is_partial, text, .. } => {
            LogContent::Line { stream, is_partial, text }
        }
        kogge_telemetry::LogEntry::Gap { lost, .. } => LogContent::Gap { lost },
    };
    LogEntry { task: TaskId::new(sourced.source), at, content }
}
