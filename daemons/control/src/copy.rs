//! This server's copy of the whole state, fed by the store's watch.
//!
//! It makes a standby able to answer without asking anybody, and to take over without reading everything first.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use kogge_host::backoff::Backoff;
use kogge_host::clock;
use kogge_host::tasks::{OnPanic, TaskGroup};
use kogge_model::time::Timestamp;
use kogge_store::{Batch, Change, Consistency, Key, Revision, Store};
use tokio::sync::watch;
use tokio::time::{Interval, MissedTickBehavior};

use crate::digests::{self, Mismatch};
use crate::image::Image;
use crate::keys;

/// How long an answer may wait for the newest state; after it, what is there is shown with its age.
const PATIENCE: Duration = Duration::from_millis(300);

/// While it rests, so many entries are packed in one go,
const PACKED_AT_ONCE: usize = 8_192;
/// and so long passes between two.
const PACKED_EVERY: Duration = Duration::from_millis(250);
/// What so many had held is given back to the system.
const WORTH_RELEASING: usize = 20_000;
/// A new leader has other things to do first.
const REST_DELAY: Duration = Duration::from_secs(10);

/// How far the copy is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Reached {
    pub(crate) revision: Revision,
    /// When the copy was known to be as new as the store.
    pub(crate) at: Timestamp,
    /// Another server holds something else: everything is being read anew.
    pub(crate) is_doubted: bool,
}

/// Packing, as far as it has come.
struct Packing {
    turns: Interval,
    /// Whether there may be something that lies still and is not packed.
    is_loose: bool,
    /// How many entries were packed since memory was given back.
    count: usize,
}

impl Packing {
    fn new() -> Self {
        let mut turns = tokio::time::interval(PACKED_EVERY);
        turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self { turns, is_loose: true, count: 0 }
    }
}

/// A copy that goes on by itself.
#[derive(Clone)]
pub(crate) struct Copy {
    store: Arc<dyn Store>,
    image: Arc<Mutex<Arc<Image>>>,
    reached: Arc<watch::Sender<Reached>>,
    /// How often another server held something else.
    mismatches: Arc<AtomicU64>,
    /// How often something was wrong here.
    righted: Arc<watch::Sender<u64>>,
    /// Since when hardly anybody reads it.
    rests_since: Arc<Mutex<Option<Instant>>>,
}

impl Copy {
    /// Follows `store` until `group` ends; begins with `image`, unless that is the empty one.
    pub(crate) fn follow(store: Arc<dyn Store>, image: Image, group: &TaskGroup) -> Self {
        let begun = Reached { revision: image.revision(), at: Timestamp::ZERO, is_doubted: false };
        let reached = Arc::new(watch::channel(begun).0);
        let (mismatches, righted) = (Arc::default(), Arc::new(watch::channel(0).0));
        let (image, rests_since) = (Arc::new(Mutex::new(Arc::new(image))), Arc::default());
        let copy = Self { store, image, reached, mismatches, righted, rests_since };
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
        let (mut doubt, begun) = (None, self.image().revision());
        if begun != Revision::ZERO {
            doubt = self.attend(begun.next()).await;
        }
        loop {
            match Image::read(self.store.as_ref()).await {
                Ok(image) => {
                    backoff.reset();
                    let next = image.revision().next();
                    let was_wrong = doubt.take().is_some_and(|mismatch| self.was_wrong(&mismatch, &image));
                    self.advance(|own| *own = image);
                    if was_wrong {
                        self.righted.send_modify(|count| *count += 1);
                    }
                    doubt = self.attend(next).await;
                }
                Err(error) => tracing::debug!(%error, "the state cannot be copied yet"),
            }
            tokio::time::sleep(backoff.wait()).await;
        }
    }

    /// Applies what the store tells, until everything has to be read again: then with the reason, if it is that
    /// another server holds something else.
    async fn attend(&self, from: Revision) -> Option<Mismatch> {
        let mut watch = self.store.watch(Key::ALL, from);
        let mut packing = Packing::new();
        loop {
            let change = tokio::select! {
                change = watch.next() => change?,
                _ = packing.turns.tick(), if packing.is_loose => {
                    self.pack(&mut packing);
                    continue;
                }
            };
            packing.is_loose |= matches!(change, Change::Batch(_));
            match change {
                Change::Batch(batch) => {
                    let mismatch = self.apply(batch);
                    if mismatch.is_some() {
                        return mismatch;
                    }
                }
                Change::Progress(revision) => self.advance(|own| own.has_reached(revision)),
                Change::Compacted { .. } => return None,
            }
        }
    }

    fn apply(&self, batch: Batch) -> Option<Mismatch> {
        let told = digests::told(&batch.events);
        self.advance(|own| own.apply(batch.revision, batch.events));
        let mismatch = told.into_iter().find_map(|told| told.against(&self.image()))?;
        self.doubt(&mismatch);
        Some(mismatch)
    }

    /// Whether this server leads: then it knows by itself what the copy tells others, which takes less room meanwhile.
    pub(crate) fn rest(&self, rests: bool) {
        *self.rests_since() = rests.then(Instant::now);
    }

    fn rests_since(&self) -> MutexGuard<'_, Option<Instant>> {
        self.rests_since.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Packs some of what lies still, while the copy rests.
    fn pack(&self, packing: &mut Packing) {
        if !self.rests_since().is_some_and(|since| since.elapsed() >= REST_DELAY) {
            return;
        }
        let count = Arc::make_mut(&mut self.image()).pack(PACKED_AT_ONCE);
        packing.is_loose = count == PACKED_AT_ONCE;
        packing.count += count;
        if !packing.is_loose && packing.count >= WORTH_RELEASING {
            packing.count = 0;
            kogge_host::memory::release_freed();
        }
    }

    /// Nobody takes over with a copy that may be wrong.
    pub(crate) fn doubt(&self, mismatch: &Mismatch) {
        let Mismatch { server, revision, own, other } = mismatch;
        tracing::error!(
            %server, %revision, %own, %other,
            "this server and another one hold different states: everything is read anew"
        );
        self.mismatches.fetch_add(1, Ordering::Relaxed);
        self.reached.send_modify(|reached| reached.is_doubted = true);
    }

    /// Whether something was wrong here, as far as that can be known, and says so.
    fn was_wrong(&self, mismatch: &Mismatch, truth: &Image) -> bool {
        let faults = self.image().faults(truth);
        let server = &mismatch.server;
        match faults.first() {
            Some(first) => tracing::error!(
                %server, count = faults.len(), %first,
                "this server's copy of the state was wrong and is right again"
            ),
            None => tracing::warn!(
                %server,
                "nothing wrong was found in this server's copy of the state: the other one's may be"
            ),
        }
        !faults.is_empty()
    }

    fn advance(&self, change: impl FnOnce(&mut Image)) {
        let revision = {
            let mut image = self.image();
            change(Arc::make_mut(&mut image));
            image.revision()
        };
        self.reached.send_replace(Reached { revision, at: clock::now(), is_doubted: false });
    }

    /// The copy itself; holding it holds up whatever comes, and whoever tells others that this server lives.
    pub(crate) fn image(&self) -> MutexGuard<'_, Arc<Image>> {
        self.image.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The copy as it is now, for whoever takes his time: it goes on without him.
    pub(crate) fn snapshot(&self) -> Arc<Image> {
        Arc::clone(&self.image())
    }

    /// How far it is, now and from now on.
    pub(crate) fn reached(&self) -> watch::Receiver<Reached> {
        self.reached.subscribe()
    }

    /// How often another server held something else, since this one started.
    pub(crate) fn mismatches(&self) -> u64 {
        self.mismatches.load(Ordering::Relaxed)
    }

    /// Changes when the copy was wrong and is right again: what was decided by it may be wrong as well.
    pub(crate) fn righted(&self) -> watch::Receiver<u64> {
        self.righted.subscribe()
    }

    /// Waits until it has everything that was acknowledged before the call; false when the store does not say in
    /// time how far it is, or what is missing does not come.
    pub(crate) async fn catch_up(&self) -> bool {
        matches!(tokio::time::timeout(PATIENCE, self.caught_up()).await, Ok(Some(())))
    }

    /// The same, however long it takes; none when the store does not say how far it is.
    pub(crate) async fn caught_up(&self) -> Option<()> {
        let key = Key::from(keys::CLUSTER);
        let newest = self.store.get(&key, Consistency::Linearizable).await.ok()?.revision;
        let mut reached = self.reached();
        reached.wait_for(|reached| reached.revision >= newest && !reached.is_doubted).await.ok()?;
        let now = clock::now();
        self.reached.send_if_modified(|reached| {
            reached.at = reached.at.max(now);
            false
        });
        Some(())
    }
}
