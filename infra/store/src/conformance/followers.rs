//! The watch checker: readers that follow a prefix for as long as it takes, whatever happens to the engine meanwhile.
//!
//! Each key has one writer, so its versions are a row of numbers. While a watch goes on, a reader must be told each of
//! them once and in order; only a reader that was told to list again may miss some.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use futures_util::future::{join, join_all, join3};

use crate::{Change, Commit, Event, Key, Page, Range, Revision, Store};

use super::{STEP, next};

const PREFIX: &str = "followed/";
const WRITERS: usize = 3;
/// Between two writes of a writer.
const PAUSE: Duration = Duration::from_millis(2);
/// Between two compactions, each up to what is newest.
const COMPACTED_EVERY: Duration = Duration::from_millis(150);

/// How a reader follows.
#[derive(Clone, Copy)]
enum Habit {
    /// Takes what it is told at once.
    Quick,
    /// Thinks about each thing it is told: more and more waits for it.
    Slow,
    /// Leaves once, until what it would be told next was compacted.
    Leaves,
}

const HABITS: [Habit; 3] = [Habit::Quick, Habit::Slow, Habit::Leaves];
const THOUGHT: Duration = Duration::from_millis(40);

/// Lets a reader of each habit over each of `watching` follow what is written to `writing` until `trouble` is over,
/// then until they know the last word. Tells how often they were overtaken by a compaction.
pub(crate) async fn stay_right_while(
    writing: &dyn Store,
    watching: &[&dyn Store],
    trouble: impl Future<Output = ()>,
) -> usize {
    let is_over = AtomicBool::new(false);
    let compacted = AtomicU64::new(0);
    let trouble = async {
        trouble.await;
        is_over.store(true, Ordering::SeqCst);
    };
    let writers = async {
        join_all((0..WRITERS).map(|writer| write(writing, writer, &is_over))).await;
        put(writing, "end", "x".into()).await;
    };
    let readers = watching.iter().flat_map(|store| HABITS.map(|habit| (*store, habit)));
    let readers = join_all(readers.map(|(store, habit)| follow(store, habit, &compacted)));
    let troubles = join3(writers, compact(writing, &compacted, &is_over), trouble);
    let (readers, _) = join(readers, troubles).await;
    let truth = list(writing).await;
    let truth: BTreeMap<Key, u64> =
        truth.entries.into_iter().map(|entry| (entry.key, entry.version)).collect();
    for reader in &readers {
        assert_eq!(reader.versions, truth);
    }
    readers.iter().map(|reader| reader.overtaken).sum()
}

async fn write(store: &dyn Store, writer: usize, is_over: &AtomicBool) {
    let mut number = 0u64;
    while !is_over.load(Ordering::SeqCst) {
        number += 1;
        put(store, &writer.to_string(), number.to_string()).await;
        tokio::time::sleep(PAUSE).await;
    }
}

/// Until it is known to be written; it may be written more than once.
async fn put(store: &dyn Store, name: &str, value: String) {
    let begun = Instant::now();
    while let Err(error) = store.commit(Commit::new().put(format!("{PREFIX}{name}"), value.clone())).await {
        assert!(begun.elapsed() < STEP, "{error}");
        tokio::time::sleep(PAUSE).await;
    }
}

/// `compacted`: before which revision nothing is told any more.
async fn compact(store: &dyn Store, compacted: &AtomicU64, is_over: &AtomicBool) {
    while !is_over.load(Ordering::SeqCst) {
        tokio::time::sleep(COMPACTED_EVERY).await;
        // While the engine is away nothing is compacted, and that is no fault.
        let Ok(status) = store.status().await else { continue };
        if store.compact(status.revision).await.is_ok() {
            compacted.store(status.revision.get(), Ordering::SeqCst);
        }
    }
}

async fn list(store: &dyn Store) -> Page {
    let begun = Instant::now();
    loop {
        match store.range(Range::prefix(PREFIX)).await {
            Ok(page) => return page,
            Err(error) => assert!(begun.elapsed() < STEP, "{error}"),
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// What a reader knows.
#[derive(Default)]
struct Reader {
    versions: BTreeMap<Key, u64>,
    seen: Revision,
    /// How often it was told that what came next was compacted.
    overtaken: usize,
}

/// Follows until the last word is known.
async fn follow(store: &dyn Store, habit: Habit, compacted: &AtomicU64) -> Reader {
    let mut reader = Reader::default();
    let last = Key::from(format!("{PREFIX}end"));
    let mut is_leaving = matches!(habit, Habit::Leaves);
    loop {
        reader.take(list(store).await);
        if std::mem::take(&mut is_leaving) {
            reader.leave(compacted).await;
        }
        let mut watch = store.watch(PREFIX.into(), reader.seen.next());
        loop {
            if reader.versions.contains_key(&last) {
                return reader;
            }
            match next(&mut watch).await {
                Some(Change::Batch(batch)) => reader.hear(batch.revision, batch.events),
                Some(Change::Progress(revision)) => reader.pass(revision),
                Some(Change::Compacted { .. }) => {
                    reader.overtaken += 1;
                    break;
                }
                None => break,
            }
            if matches!(habit, Habit::Slow) {
                tokio::time::sleep(THOUGHT).await;
            }
        }
    }
}

impl Reader {
    /// Stays away until what it would be told next was compacted. Engines where each process has a history of its own
    /// may know it all the same.
    async fn leave(&self, compacted: &AtomicU64) {
        let begun = Instant::now();
        // One more than what is needed: engines may still know the revision of the compaction itself.
        while compacted.load(Ordering::SeqCst) <= self.seen.next().get() + 1 {
            assert!(begun.elapsed() < STEP, "nothing was compacted");
            tokio::time::sleep(PAUSE).await;
        }
    }

    fn pass(&mut self, revision: Revision) {
        assert!(revision >= self.seen, "progress to {revision} after {}", self.seen);
        self.seen = revision;
    }

    /// A list may be newer than what was known, never older.
    fn take(&mut self, page: Page) {
        assert!(page.revision >= self.seen, "listed at {} after {}", page.revision, self.seen);
        let listed: BTreeMap<Key, u64> =
            page.entries.into_iter().map(|entry| (entry.key, entry.version)).collect();
        for (key, known) in &self.versions {
            assert!(listed.get(key) >= Some(known), "{key}: {:?} after {known}", listed.get(key));
        }
        (self.versions, self.seen) = (listed, page.revision);
    }

    fn hear(&mut self, revision: Revision, events: Vec<Event>) {
        assert!(revision > self.seen, "told {revision} after {}", self.seen);
        self.seen = revision;
        for event in events {
            let Event::Put(entry) = event else { panic!("nothing was deleted: {event:?}") };
            let known = self.versions.insert(entry.key.clone(), entry.version).unwrap_or(0);
            assert_eq!(entry.version, known + 1, "{}: each version is told once, in order", entry.key);
        }
    }
}
