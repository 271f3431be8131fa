//! Logs and programs inside tasks: the agent in this process has them all.

use kogge_agent::AgentHandle;
use kogge_control::ports::{ExecSession, Flow, LogSubject, LogWish, Pending, TaskAccess};
use kogge_model::id::{AgentId, TaskId};
use kogge_model::reason::Reason;
use kogge_model::view::LogLineView;
use kogge_model::view::exec::ExecRequest;
use tokio::sync::OnceCell;

/// The agent; control is started before it.
#[derive(Default)]
pub(crate) struct AgentTasks(OnceCell<AgentHandle>);

impl AgentTasks {
    /// The agent is there.
    pub(crate) fn bind(&self, agent: AgentHandle) {
        // It is bound once, at the start.
        let _ = self.0.set(agent);
    }

    fn agent(&self) -> Result<&AgentHandle, Reason> {
        self.0.get().ok_or_else(|| Reason::new("the agent is not up yet"))
    }
}

impl TaskAccess for AgentTasks {
    fn logs(&self, tasks: Vec<LogSubject>, wish: LogWish) -> Pending<'_, Result<Flow<LogLineView>, Reason>> {
        Box::pin(async move { super::task_logs::open(self.agent()?, tasks, wish).await })
    }

    fn exec(
        &self,
        _agent: AgentId,
        task: TaskId,
        request: ExecRequest,
    ) -> Pending<'_, Result<ExecSession, Reason>> {
        Box::pin(async move {
            let session = self.agent()?.exec(&task, request).await?;
            Ok(ExecSession { input: session.input, output: session.output })
        })
    }
}
