//! Says what is to be said to control, once what must not be forgotten for it is on the disk.

use std::time::Duration;

use kogge_model::id::AgentId;
use kogge_model::link::{FromAgent, ToControl};
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;

use crate::records::Unsynced;

/// Parcels that may wait for the disk; when they are full the reactor waits, and with it everything new.
pub(crate) const CAPACITY: usize = 64;

/// Between two tries to reach a disk that fails.
const RETRY: Duration = Duration::from_secs(1);

/// What one turn of the reactor has to say, and what must be on the disk first.
#[derive(Debug)]
pub(crate) struct Parcel {
    pub(crate) unsynced: Unsynced,
    pub(crate) messages: Vec<ToControl>,
}

/// Runs until the reactor is gone.
pub(crate) async fn run(
    agent: AgentId,
    mut parcels: mpsc::Receiver<Parcel>,
    to_control: mpsc::Sender<FromAgent>,
) {
    let mut waiting = Vec::new();
    while parcels.recv_many(&mut waiting, CAPACITY).await > 0 {
        let mut messages = Vec::new();
        let mut unsynced = Vec::new();
        for parcel in waiting.drain(..) {
            messages.extend(parcel.messages);
            unsynced.push(parcel.unsynced);
        }
        sync(unsynced).await;
        for body in messages {
            match to_control.try_send(FromAgent { agent: agent.clone(), body }) {
                // Dropped: everything that matters comes again until it is answered.
                Err(TrySendError::Full(_)) => tracing::debug!("the link to control is full"),
                Err(TrySendError::Closed(_)) | Ok(()) => {}
            }
        }
    }
}

/// One trip to the disk for all that has gathered. Nothing is said before it has succeeded.
async fn sync(mut unsynced: Vec<Unsynced>) {
    unsynced.retain(|one| !one.is_empty());
    while !unsynced.is_empty() {
        let syncing = tokio::task::spawn_blocking(move || {
            let result = unsynced.iter().try_for_each(Unsynced::sync);
            (unsynced, result)
        });
        // The runtime is going down: nobody is left to be told.
        let Ok((back, result)) = syncing.await else { return std::future::pending().await };
        unsynced = back;
        match result {
            Ok(()) => return,
            Err(error) => {
                tracing::error!(%error, "records cannot be brought to the disk, control hears nothing until they can");
                tokio::time::sleep(RETRY).await;
            }
        }
    }
}
