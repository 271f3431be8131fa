//! What is left of the tasks of an earlier agent process.

use std::sync::Arc;

use kogge_model::id::TaskId;
use kogge_model::port::Port;
use kogge_model::reason::Reason;
use kogge_node::{Found, Input};
use kogge_shim::client::{self, Recovered};
use tokio::sync::oneshot;

use super::Machine;
use super::note::Note;
use crate::sentence;

impl Machine {
    /// Looks for `task`, tells the node what is there (then `said` resolves), and watches it if it runs. `ports` are
    /// those of its spec.
    pub(crate) async fn recover(self: Arc<Self>, task: TaskId, ports: Vec<Port>, said: oneshot::Sender<()>) {
        let found = self.look_for(&task).await;
        let is_running = matches!(found, Found::Running { .. });
        if is_running && let Err((port, holder)) = self.ports.take(&task, &ports) {
            tracing::error!(%task, %port, %holder, "two running tasks hold one host port");
        }
        self.mailbox.tell(Input::Recovered { task: task.clone(), found }).await;
        let _ = said.send(());
        if is_running {
            self.watch(task).await;
        }
    }

    async fn look_for(&self, task: &TaskId) -> Found {
        let dir = self.of(task).shim;
        if !dir.join("shim.json").exists() {
            return Found::Nothing;
        }
        match client::recover(&dir).await {
            Ok(Recovered::Running(_, pong)) => {
                let ip = match Note::load(&dir) {
                    Ok(Some(note)) => note.ip,
                    Ok(None) => self.config.address,
                    Err(error) => {
                        tracing::warn!(%task, error = sentence::of(&error), "its address is not known any more");
                        self.config.address
                    }
                };
                Found::Running { pid: pong.pid, started_at: pong.started_at, ip }
            }
            Ok(Recovered::Ended(ended)) => {
                if ended.is_lease_over {
                    self.mailbox.tell(Input::LeaseEnded { task: task.clone() }).await;
                }
                Found::Exited { exit: ended.exit, at: ended.ended_at, oom_kills: ended.oom_kills }
            }
            Ok(Recovered::Lost(why)) => Found::Lost { reason: Reason::new(why) },
            Err(error) => {
                Found::Lost { reason: Reason::new(format!("its supervisor's files cannot be read: {error}")) }
            }
        }
    }
}
