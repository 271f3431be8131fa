//! This server's copy of the whole state, fed by the store's watch.
//!
//! It makes a standby able to answer without asking anybody, and to take over without reading everything first.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use kogge_host::backoff::Backoff;
use kogge_host::clock;
use kogge_host::tasks::{OnPanic, TaskGroup};
use kogge_model::time::Timestamp;
use kogge_store::{Change, Consistency, Key, Revision, Store};
use tokio::sync::watch;

use crate::image::Image;
use crate::keys;

/// How long an answer may wait for the newest state; after it, what is there is shown with its age.
const PATIENCE: Duration = Duration::from_millis(300);

/// How far the copy is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Reached {
    pub(crate) revision: Revision,
    /// When the copy was known to be as new as the store.
    pub(crate) at: Timestamp,
}

/// A copy that goes on by itself.
#[derive(Clone)]
pub(crate) struct Copy {
    store: Arc<dyn Store>,
    image: Arc<Mutex<Image>>,
    reached: Arc<watch::Sender<Reached>>,
}

impl Copy {
    /// Follows `store` until `group` ends.
    pub(crate) fn follow(store: Arc<dyn Store>, group: &TaskGroup) -> Self {
        let nothing = Reached { revision: Revision::ZERO, at: Timestamp::ZERO };
        let copy = Self { store, image: Arc::default(), reached: Arc::new(watch::channel(nothing).0) };
        let (following, token) = (copy.clone(), group.token());
        group.spawn("copy of the state", OnPanic::StopGroup, async move {
            tokio::select! {
                () = token.cancelled() => {}
                () = following.run() => {}
            }
        });
        copy
    }

    async fn run(&self) {
        let mut backoff = Backoff::new(Duration::from_millis(50), Duration::from_secs(1));
        loop {
            match Image::read(self.store.as_ref()).await {
                Ok(image) => {
                    backoff.reset();
                    let next = image.revision().next();
                    self.advance(|own| *own = image);
                    self.attend(next).await;
                }
                Err(error) => tracing::debug!(%error, "the state cannot be copied yet"),
            }
            tokio::time::sleep(backoff.wait()).await;
        }
    }

    /// Applies what the store tells, until it has to be read again.
    async fn attend(&self, from: Revision) {
        let mut watch = self.store.watch(Key::ALL, from);
        while let Some(change) = watch.next().await {
            match change {
                Change::Batch(batch) => self.advance(|own| own.apply(batch.revision, batch.events)),
                Change::Progress(revision) => self.advance(|own| own.has_reached(revision)),
                Change::Compacted { .. } => return,
            }
        }
    }

    fn advance(&self, change: impl FnOnce(&mut Image)) {
        let revision = {
            let mut image = self.image();
            change(&mut image);
            image.revision()
        };
        self.reached.send_replace(Reached { revision, at: clock::now() });
    }

    /// The copy itself; holding it holds up whatever comes.
    pub(crate) fn image(&self) -> MutexGuard<'_, Image> {
        self.image.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How far it is, now and from now on.
    pub(crate) fn reached(&self) -> watch::Receiver<Reached> {
        self.reached.subscribe()
    }

    /// Waits until it has everything that was acknowledged before the call; false when the store does not say in
    /// time how far it is, or what is missing does not come.
    pub(crate) async fn catch_up(&self) -> bool {
        let catching_up = async {
            let key = Key::from(keys::CLUSTER);
            let newest = self.store.get(&key, Consistency::Linearizable).await.ok()?.revision;
            let mut reached = self.reached();
            reached.wait_for(|reached| reached.revision >= newest).await.ok()?;
            let now = clock::now();
            self.reached.send_if_modified(|reached| {
                reached.at = reached.at.max(now);
                false
            });
            Some(())
        };
        matches!(tokio::time::timeout(PATIENCE, catching_up).await, Ok(Some(())))
    }
}
