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

/// How the watch over a task came to its end.
enum Ended {
    Exited(Box<EndedTask>),
    /// Its supervisor is gone.
    Lost(Reason),
}

impl Machine {
    /// Tells the node when `task` ends, or its supervisor does. Ends early with the agent; the task runs on.
    pub(super) async fn watch(self: Arc<Self>, task: TaskId) {
        let token = self.work.token();
        let ended = tokio::select! {
            ended = self.end_of(&task) => ended,
            () = token.cancelled() => return,
        };
        if let Ended::Exited(ended) = &ended
            && ended.is_lease_over
        {
            self.mailbox.tell(Input::LeaseEnded { task: task.clone() }).await;
        }
        self.mailbox
            .tell(match ended {
                Ended::Exited(ended) => exited(&task, &ended),
                Ended::Lost(reason) => Input::ShimLost { task, reason },
            })
            .await;
    }

    async fn end_of(&self, task: &TaskId) -> Ended {
        let shim = self.shim(task);
        loop {
            match shim.wait().await {
                Ok(ended) => return Ended::Exited(Box::new(ended)),
                Err(error) => tracing::debug!(%task, error = sentence::of(&error), "the supervisor hung up"),
            }
            match client::recover(shim.dir()).await {
                Ok(Recovered::Ended(ended)) => return Ended::Exited(ended),
                Ok(Recovered::Lost(why)) => {
                    return Ended::Lost(Reason::new(why));
                }
                Err(error) => {
                    let reason = Reason::new(format!("its supervisor's files cannot be read: {error}"));
                    return Ended::Lost(reason);
                }
                Ok(Recovered::Running(..)) => tokio::time::sleep(RETRY).await,
            }
        }
    }
}

fn exited(task: &TaskId, ended: &EndedTask) -> Input {
    Input::Exited { task: task.clone(), exit: ended.exit, at: ended.ended_at, oom_kills: ended.oom_kills }
}
