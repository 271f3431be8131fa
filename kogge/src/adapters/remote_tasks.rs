//! Logs and programs inside tasks on other machines, over the link.

use std::collections::BTreeMap;

use kogge_control::ports::{ExecSession, Flow, LogSubject, LogWish, Pending, TaskAccess};
use kogge_link::ListenerHandle;
use kogge_model::id::{AgentId, TaskId};
use kogge_model::reason::Reason;
use kogge_model::view::LogLineView;
use kogge_model::view::exec::ExecRequest;

use super::remote_logs::{self, Names};

/// The tasks of all agents that are connected to this server.
pub(crate) struct RemoteTasks(pub(crate) ListenerHandle);

impl TaskAccess for RemoteTasks {
    fn logs(&self, tasks: Vec<LogSubject>, wish: LogWish) -> Pending<'_, Result<Flow<LogLineView>, Reason>> {
        Box::pin(async move {
            let mut agents: BTreeMap<AgentId, Names> = BTreeMap::new();
            for subject in tasks {
                agents.entry(subject.agent.clone()).or_default().insert(subject.task.clone(), subject);
            }
            let opening = agents.into_iter().map(|(agent, names)| open(&self.0, agent, names, wish));
            let sources = futures_util::future::join_all(opening).await;
            Ok(remote_logs::merge(sources, wish))
        })
    }

    fn exec(
        &self,
        agent: AgentId,
        task: TaskId,
        request: ExecRequest,
    ) -> Pending<'_, Result<ExecSession, Reason>> {
        Box::pin(async move {
            let line = self.0.exec(&agent, task, request).await?;
            Ok(ExecSession { input: line.input, output: line.output })
        })
    }
}

/// The lines of one agent's tasks. An agent that is away has one line instead, which says so.
async fn open(link: &ListenerHandle, agent: AgentId, names: Names, wish: LogWish) -> Flow<LogLineView> {
    let tasks = names.keys().cloned().collect();
    let asked = kogge_link::LogWish { since: wish.since, tail: wish.tail, follow: wish.follow };
    match link.logs(&agent, tasks, asked).await {
        Ok(batches) => remote_logs::lines(batches, names),
        Err(reason) => remote_logs::missing(&reason, &names),
    }
}
