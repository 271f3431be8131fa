//! Telling tasks to end, and making sure that they have.

use std::sync::Arc;
use std::time::Duration;

use kogge_host::backoff::Backoff;
use kogge_model::id::TaskId;
use kogge_model::reason::Reason;
use kogge_node::{Input, StopSignal};
use kogge_shim::client::{self, ClientError};
use kogge_shim::protocol::KillScope;

use super::note::Note;
use super::{Busy, Machine};
use crate::sentence;

const SIGTERM: i32 = 15;
const SIGKILL: i32 = 9;

impl Machine {
    /// Sends the signal through the supervisor. Its end is noticed by the watch, deafness here.
    pub(super) async fn signal(self: Arc<Self>, task: TaskId, signal: StopSignal) {
        let shim = self.shim(&task);
        let sent = match signal {
            StopSignal::Stop => {
                let note = Note::load(shim.dir()).ok().flatten();
                shim.kill(note.map_or(SIGTERM, |note| note.stop_signal), KillScope::Init).await
            }
            StopSignal::Kill => shim.kill(SIGKILL, KillScope::All).await,
        };
        match sent {
            // The watch hears of an end.
            Ok(()) | Err(ClientError::Refused(_) | ClientError::Gone(_)) => {}
            Err(error @ (ClientError::TimedOut(_) | ClientError::Strange(_))) => {
                let reason = Reason::new(sentence::of(&error));
                self.mailbox.tell(Input::ShimLost { task, reason }).await;
            }
        }
    }

    /// Kills what is left of a task without a supervisor, for as long as it takes.
    pub(super) async fn make_sure(self: Arc<Self>, task: TaskId) {
        let Some(_busy) = Busy::enter(&self.vanishing, &task) else { return };
        let _alone = self.alone(&task).await;
        let dir = self.of(&task).shim;
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(5));
        while dir.join("shim.json").exists() {
            let Err(error) = client::destroy(&dir).await else { break };
            tracing::error!(%task, error = sentence::of(&error), "a task without a supervisor does not die");
            tokio::time::sleep(backoff.wait()).await;
        }
        self.mailbox.tell(Input::Gone { task }).await;
    }
}
