//! Logs and programs inside tasks, on whichever machine they are.

use std::collections::BTreeMap;

use kogge_agent::AgentHandle;
use kogge_control::ports::{ExecSession, Flow, LogSubject, LogWish, Pending, TaskAccess};
use kogge_link::ListenerHandle;
use kogge_model::id::{AgentId, TaskId};
use kogge_model::reason::Reason;
use kogge_model::view::LogLineView;
use kogge_model::view::exec::ExecRequest;
use tokio::sync::OnceCell;

use super::agent_wires::LateDoor;
use super::remote_logs::{self, Names};

/// The tasks of the agent in this process, and of those that are connected.
pub(crate) struct CloudTasks {
    local: OnceCell<(AgentId, AgentHandle)>,
    door: LateDoor,
}

impl CloudTasks {
    pub(crate) fn new(door: LateDoor) -> Self {
        Self { local: OnceCell::new(), door }
    }

    /// The agent in this process is there.
    pub(crate) fn bind(&self, id: AgentId, agent: AgentHandle) {
        // It is bound once, at the start.
        let _ = self.local.set((id, agent));
    }

    fn local(&self, agent: &AgentId) -> Option<&AgentHandle> {
        self.local.get().filter(|(id, _)| id == agent).map(|(_, handle)| handle)
    }

    fn remote(&self, agent: &AgentId) -> Result<&ListenerHandle, Reason> {
        self.door.get().ok_or_else(|| Reason::new(format!("agent {agent} is not connected")))
    }

    /// The lines of one agent's tasks. An agent that is away has one line instead, which says so.
    async fn open(&self, agent: AgentId, names: Names, wish: LogWish) -> Flow<LogLineView> {
        let opened = match self.local(&agent) {
            Some(local) => super::task_logs::open(local, names.values().cloned().collect(), wish).await,
            None => self.open_remote(&agent, names.clone(), wish).await,
        };
        opened.unwrap_or_else(|reason| remote_logs::missing(&reason, &names))
    }

    async fn open_remote(
        &self,
        agent: &AgentId,
        names: Names,
        wish: LogWish,
    ) -> Result<Flow<LogLineView>, Reason> {
        let tasks = names.keys().cloned().collect();
        let asked = kogge_link::LogWish { since: wish.since, tail: wish.tail, follow: wish.follow };
        let batches = self.remote(agent)?.logs(agent, tasks, asked).await?;
        Ok(remote_logs::lines(batches, names))
    }
}

impl TaskAccess for CloudTasks {
    fn logs(&self, tasks: Vec<LogSubject>, wish: LogWish) -> Pending<'_, Result<Flow<LogLineView>, Reason>> {
        Box::pin(async move {
            let mut agents: BTreeMap<AgentId, Names> = BTreeMap::new();
            for subject in tasks {
                agents.entry(subject.agent.clone()).or_default().insert(subject.task.clone(), subject);
            }
            let opening = agents.into_iter().map(|(agent, names)| self.open(agent, names, wish));
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
            if let Some(local) = self.local(&agent) {
                let session = local.exec(&task, request).await?;
                return Ok(ExecSession { input: session.input, output: session.output });
            }
            let line = self.remote(&agent)?.exec(&agent, task, request).await?;
            Ok(ExecSession { input: line.input, output: line.output })
        })
    }
}
