//! Tasks that are told of but run nowhere: there is nothing to reach into.

use futures_util::future::BoxFuture;
use kogge_link::{ExecLine, LogBatches, LogWish, TaskDoor};
use kogge_model::id::TaskId;
use kogge_model::reason::Reason;
use kogge_model::view::exec::ExecRequest;

/// See the module.
pub(crate) struct NoTasks;

impl TaskDoor for NoTasks {
    fn logs(&self, _: Vec<TaskId>, _: LogWish) -> BoxFuture<'_, Result<LogBatches, Reason>> {
        nothing()
    }

    fn exec(&self, _: TaskId, _: ExecRequest) -> BoxFuture<'_, Result<ExecLine, Reason>> {
        nothing()
    }

    fn stats(&self, _: TaskId) -> BoxFuture<'_, Result<serde_json::Value, Reason>> {
        nothing()
    }
}

fn nothing<T>() -> BoxFuture<'static, Result<T, Reason>> {
    Box::pin(async { Err(Reason::new("this agent is simulated: nothing runs on it")) })
}
