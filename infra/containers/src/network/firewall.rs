//! The one owner of the table: changes that wait at the same time share one transaction.
//!
//! Each transaction costs the same whatever it changes, so fifty starts at once are a few and not fifty. The
//! queue has a bound; when it is full, callers wait.

use kogge_host::tasks::{OnPanic, TaskGroup};
use tokio::sync::{mpsc, oneshot};

use super::attachment::Attachment;
use super::elements::{self, Element};
use super::error::NetworkError;
use super::nft;
use super::ruleset::Ruleset;
use crate::workers::Workers;

const QUEUE: usize = 256;
/// Changes in one transaction: enough to catch up, few enough to tell quickly who was at fault.
const BATCH: usize = 64;

/// A handle to the owner. Clones share it.
#[derive(Debug, Clone)]
pub(crate) struct Firewall {
    changes: mpsc::Sender<Change>,
}

struct Change {
    /// The whole change, for `nft`.
    script: String,
    /// The same, if it consists of elements only.
    elements: Vec<Element>,
    done: oneshot::Sender<Result<(), NetworkError>>,
}

impl Firewall {
    /// Starts the owner in `tasks`; it ends with the group, or with the last handle.
    pub(crate) fn start(ruleset: Ruleset, workers: Workers, tasks: &TaskGroup) -> Self {
        let (changes, queue) = mpsc::channel(QUEUE);
        let token = tasks.token();
        let owner = Owner { table: ruleset.names.table.clone(), workers };
        tasks.spawn("firewall", OnPanic::StopGroup, async move {
            tokio::select! {
                () = token.cancelled() => {}
                () = owner.serve(queue) => {}
            }
        });
        Self { changes }
    }

    /// Applies `script`, together with whatever else is waiting.
    pub(crate) async fn change(&self, script: String) -> Result<(), NetworkError> {
        self.send(script, Vec::new()).await
    }

    /// Publishes the ports of one task. A task without ports is done at once.
    pub(crate) async fn publish(
        &self,
        ruleset: &Ruleset,
        attachment: &Attachment,
    ) -> Result<(), NetworkError> {
        self.send(ruleset.publish(attachment), Element::publish(attachment)).await
    }

    /// Takes them back.
    pub(crate) async fn unpublish(
        &self,
        ruleset: &Ruleset,
        attachment: &Attachment,
    ) -> Result<(), NetworkError> {
        self.send(ruleset.unpublish(attachment), Element::unpublish(attachment)).await
    }

    async fn send(&self, script: String, elements: Vec<Element>) -> Result<(), NetworkError> {
        if script.is_empty() {
            return Ok(());
        }
        let (done, answer) = oneshot::channel();
        let change = Change { script, elements, done };
        self.changes.send(change).await.map_err(|_| NetworkError::Closed)?;
        answer.await.map_err(|_| NetworkError::Closed)?
    }
}

struct Owner {
    table: String,
    workers: Workers,
}

impl Owner {
    async fn serve(self, mut queue: mpsc::Receiver<Change>) {
        let mut batch = Vec::with_capacity(BATCH);
        while queue.recv_many(&mut batch, BATCH).await > 0 {
            let changes = std::mem::take(&mut batch);
            let is_done = self.apply_together(&changes).await;
            for change in changes {
                // Not done: one of them was at fault and took the others along, so each for itself. Whoever asked
                // may have gone by now; the change stands all the same.
                let result = if is_done { Ok(()) } else { nft::apply(&change.script).await };
                let _ = change.done.send(result);
            }
        }
    }

    /// One transaction for all; tells whether it was accepted.
    async fn apply_together(&self, changes: &[Change]) -> bool {
        if changes.iter().all(|change| !change.elements.is_empty()) {
            let elements: Vec<Element> = changes.iter().flat_map(|change| change.elements.clone()).collect();
            let table = self.table.clone();
            match self.workers.run(move || elements::apply(&table, &elements)).await {
                Ok(()) => return true,
                Err(error) => tracing::debug!(%error, "elements were refused, asking nft"),
            }
        }
        // A single change is left to the caller, which tells its error.
        let whole: String = changes.iter().map(|change| change.script.as_str()).collect();
        changes.len() > 1 && nft::apply(&whole).await.is_ok()
    }
}
