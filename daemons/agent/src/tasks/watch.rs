//! Waits for the end of a running task, without asking twice.

use std::sync::Arc;
use std::time::Duration;

use kogge_model::id::TaskId;
use kogge_model::reason::Reason;
use kogge_node::Input;
use kogge_shim::client::{self, Recovered};
use kogge_shim::protocol::EndedTask;

use super::Machine;
use crate::sentence;

/// Before a supervisor that hung up on us is asked again.
const RETRY: Duration = Duration::from_millis(200);

impl Machine {
    /// Tells the node when `task` ends, or its supervisor does. Ends early with the agent; the task runs on.
    pub(super) async fn watch(self: Arc<Self>, task: TaskId) {
        let token = self.work.token();
        let ended = tokio::select! {
            ended = self.end_of(&task) => ended,
            () = token.cancelled() => return,
        };
        self.mailbox.tell(ended).await;
    }

    async fn end_of(&self, task: &TaskId) -> Input {
        let shim = self.shim(task);
        loop {
            match shim.wait().await {
                Ok(ended) => return exited(task, &ended),
                Err(error) => tracing::debug!(%task, error = sentence::of(&error), "the supervisor hung up"),
            }
            match client::recover(shim.dir()).await {
                Ok(Recovered::Ended(ended)) => return exited(task, &ended),
                Ok(Recovered::Lost(why)) => {
                    return Input::ShimLost { task: task.clone(), reason: Reason::new(why) };
                }
                Err(error) => {
                    let reason = Reason::new(format!("its supervisor's files cannot be read: {error}"));
                    return Input::ShimLost { task: task.clone(), reason };
                }
                Ok(Recovered::Running(..)) => tokio::time::sleep(RETRY).await,
            }
        }
    }
}

fn exited(task: &TaskId, ended: &EndedTask) -> Input {
    Input::Exited { task: task.clone(), exit: ended.exit, at: ended.ended_at, oom_kills: ended.oom_kills }
}
