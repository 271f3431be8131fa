//! The one owner of the table: changes that wait at the same time share one transaction.
//!
//! Each run of `nft` costs milliseconds whatever it changes, so fifty starts at once are one run and not fifty.
//! The queue has a bound; when it is full, callers wait.

use kogge_host::tasks::{OnPanic, TaskGroup};
use tokio::sync::{mpsc, oneshot};

use super::error::NetworkError;
use super::nft;

const QUEUE: usize = 256;
/// Changes in one transaction: enough to catch up, few enough to tell quickly who was at fault.
const BATCH: usize = 64;

/// A handle to the owner. Clones share it.
#[derive(Debug, Clone)]
pub(crate) struct Firewall {
    changes: mpsc::Sender<Change>,
}

struct Change {
    script: String,
    done: oneshot::Sender<Result<(), NetworkError>>,
}

impl Firewall {
    /// Starts the owner in `tasks`; it ends with the group, or with the last handle.
    pub(crate) fn start(tasks: &TaskGroup) -> Self {
        let (changes, queue) = mpsc::channel(QUEUE);
        let token = tasks.token();
        tasks.spawn("firewall", OnPanic::StopGroup, async move {
            tokio::select! {
                () = token.cancelled() => {}
                () = serve(queue) => {}
            }
        });
        Self { changes }
    }

    /// Applies `script`, together with whatever else is waiting. Nothing to do is done at once.
    pub(crate) async fn change(&self, script: String) -> Result<(), NetworkError> {
        if script.is_empty() {
            return Ok(());
        }
        let (done, answer) = oneshot::channel();
        self.changes.send(Change { script, done }).await.map_err(|_| NetworkError::Closed)?;
        answer.await.map_err(|_| NetworkError::Closed)?
    }
}

async fn serve(mut queue: mpsc::Receiver<Change>) {
    let mut batch = Vec::with_capacity(BATCH);
    while queue.recv_many(&mut batch, BATCH).await > 0 {
        let mut changes = std::mem::take(&mut batch);
        // Whoever asked may have gone when the answer is sent; the change stands all the same.
        if let [_] = changes.as_slice() {
            answer_alone(changes.remove(0)).await;
            continue;
        }
        let whole: String = changes.iter().map(|change| change.script.as_str()).collect();
        let is_done = nft::apply(&whole).await.is_ok();
        for change in changes {
            if is_done {
                let _ = change.done.send(Ok(()));
            } else {
                // One of them was at fault and took the others along: each for itself.
                answer_alone(change).await;
            }
        }
    }
}

async fn answer_alone(change: Change) {
    let _ = change.done.send(nft::apply(&change.script).await);
}
